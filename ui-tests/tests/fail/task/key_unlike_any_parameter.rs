use bg_runtime::background_task;

#[background_task(key = account, max_per_key = 1)]
async fn send_email(user_id: u64, text: &str, #[secret] code: u8) {
    let _ = (user_id, text, code);
}

fn main() {}
