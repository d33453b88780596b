use bg_runtime::background_task;

const NEVER: std::time::Duration = std::time::Duration::ZERO;

#[background_task(expires = NEVER)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
