use bg_runtime::background_task;

#[background_task]
async fn send_email(to: impl ToString + Send) {
    drop(to.to_string());
}

fn main() {}
