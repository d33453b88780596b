use bg_runtime::background_task;

#[background_task(key = to, max_pending_per_key = 1, on_full = "replace")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
