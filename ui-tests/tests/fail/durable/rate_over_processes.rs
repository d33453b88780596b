use bg_runtime::background_task;

#[background_task(durable, name = "emails.send", rate = "10/s")]
async fn send_email(to: String) {
    drop(to);
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
