use bg_runtime::background_task;

#[background_task(colour = "red")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
