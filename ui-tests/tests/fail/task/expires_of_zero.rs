use bg_runtime::background_task;

#[background_task(expires = "0s")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
