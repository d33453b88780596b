use bg_runtime::background_task;

#[background_task(retries = 1.5)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
