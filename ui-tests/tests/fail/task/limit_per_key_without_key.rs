use bg_runtime::background_task;

#[background_task(max_per_key = 1, max_pending_per_key = 100)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
