use bg_runtime::background_task;

#[background_task(retries)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
