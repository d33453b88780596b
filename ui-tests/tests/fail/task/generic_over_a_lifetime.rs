use bg_runtime::background_task;

#[background_task]
async fn send_email<'a>(to: &'a str, subject: &'a str) {
    drop((to.len(), subject.len()));
}

fn main() {
    let _ = SendEmail::new("a@b.c", "hello");
}
