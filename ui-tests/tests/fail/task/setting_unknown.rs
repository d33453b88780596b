use bg_runtime::background_task;

#[background_task(timeut = "30s")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
