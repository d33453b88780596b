use bg_runtime::background_task;

#[background_task(durable, name = "emails.send", max_concurrent = 4)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
