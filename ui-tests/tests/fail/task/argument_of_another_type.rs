use bg_runtime::background_task;

#[background_task]
async fn send_email(to: String, subject: &str, copies: u32) {
    drop((to, subject.len(), copies));
}

fn main() {
    let _ = SendEmail::new("a@b.c", "hello", "twice");
}
