use bg_runtime::background_task;

#[background_task(timeout = 30 * 1000)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
