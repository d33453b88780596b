use bg_runtime::background_task;

#[background_task]
async fn send_email(#[cfg(unix)] to: String) {
    drop(to);
}

fn main() {}
