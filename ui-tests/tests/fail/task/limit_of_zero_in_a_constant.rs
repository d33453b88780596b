use bg_runtime::background_task;

const NONE: usize = 0;

#[background_task(max_concurrent = NONE)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
