use bg_runtime::background_task;

#[background_task(max_unfinished_per_key = 1)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
