use bg_runtime::background_task;

#[background_task(rate = "10 per second")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
