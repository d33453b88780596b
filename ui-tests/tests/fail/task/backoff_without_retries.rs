use bg_runtime::background_task;

#[background_task(backoff = "1s")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
