use bg_runtime::background_task;

#[background_task(
    max_concurrent = 0,
    key = to,
    max_per_key = 0,
    max_pending_per_key = 0,
    max_unfinished_per_key = 0
)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
