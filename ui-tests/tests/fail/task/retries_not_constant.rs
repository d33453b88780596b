use bg_runtime::background_task;

fn limit() -> u32 {
    3
}

#[background_task(retries = limit())]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
