use bg_runtime::background_task;

#[background_task(timeout = "soon")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
