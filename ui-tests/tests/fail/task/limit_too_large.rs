use bg_runtime::background_task;

#[background_task(max_concurrent = 99_999_999_999_999_999_999)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
