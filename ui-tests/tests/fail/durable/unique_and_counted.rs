use bg_runtime::background_task;

#[background_task(durable, name = "emails.send", unique, key = to, max_unfinished_per_key = 2)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
