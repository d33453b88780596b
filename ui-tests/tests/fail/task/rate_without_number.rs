use bg_runtime::background_task;

#[background_task(rate = "/s")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
