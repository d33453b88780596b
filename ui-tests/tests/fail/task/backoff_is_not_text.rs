use bg_runtime::background_task;

#[background_task(retries = 3, backoff = 1s..1m)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
