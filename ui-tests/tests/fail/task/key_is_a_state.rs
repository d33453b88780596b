use bg_runtime::background_task;

#[background_task(key = mailer, max_per_key = 1)]
async fn send_email(to: String, #[state] mailer: u8) {
    let _ = (to, mailer);
}

fn main() {}
