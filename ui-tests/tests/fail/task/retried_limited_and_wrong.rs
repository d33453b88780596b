use bg_runtime::background_task;

#[background_task(retrys = 3, backoff = "1m..1s", max_concurrent = 0, key = too, max_per_key = -1)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
