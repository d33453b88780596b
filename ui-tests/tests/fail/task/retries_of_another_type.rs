use bg_runtime::background_task;

const LIMIT: usize = 3;

#[background_task(retries = LIMIT)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
