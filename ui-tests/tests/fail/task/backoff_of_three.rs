use bg_runtime::background_task;

#[background_task(retries = 3, backoff = "1s..1m..1h")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
