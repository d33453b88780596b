use bg_runtime::background_task;

use std::time::Duration;

#[background_task(retries = 3, backoff = Duration::from_secs(1))]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
