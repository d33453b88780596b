use bg_runtime::background_task;

#[background_task(durable, name = "emails.send")]
async fn send_email(#[was = "address"] to: String) {
    drop(to);
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
