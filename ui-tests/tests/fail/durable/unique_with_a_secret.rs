use bg_runtime::background_task;

#[background_task(durable, name = "emails.send", unique)]
async fn send_email(to: String, #[secret] code: u32) {
    drop((to, code));
}

fn main() {
    let _ = SendEmail::new("a@b.c", 1);
}
