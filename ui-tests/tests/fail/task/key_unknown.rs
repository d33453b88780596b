use bg_runtime::background_task;

#[background_task(key = user_idd, max_per_key = 1)]
async fn send_email(user_id: u64, text: &str) {
    let _ = (user_id, text);
}

fn main() {}
