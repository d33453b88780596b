use bg_runtime::background_task;

#[background_task(key = token, max_per_key = 1)]
async fn send_email(to: String, #[secret] token: String) {
    let _ = (to, token);
}

fn main() {}
