use bg_runtime::background_task;

#[background_task(key = to.len(), max_per_key = 1)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
