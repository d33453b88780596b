use bg_runtime::background_task;

#[background_task(max_concurrent = 0.5)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
