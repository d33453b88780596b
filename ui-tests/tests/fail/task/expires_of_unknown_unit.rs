use bg_runtime::background_task;

#[background_task(expires = "30sec")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
