use bg_runtime::background_task;

fn limit() -> std::time::Duration {
    std::time::Duration::from_secs(30)
}

#[background_task(timeout = limit())]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
