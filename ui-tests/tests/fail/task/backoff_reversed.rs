use bg_runtime::background_task;

#[background_task(retries = 3, backoff = "1m..1s")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
