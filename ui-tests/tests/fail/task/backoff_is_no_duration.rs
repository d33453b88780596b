use bg_runtime::background_task;

#[background_task(retries = 3, backoff = "soon")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
