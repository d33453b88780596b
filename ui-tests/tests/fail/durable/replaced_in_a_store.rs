use bg_runtime::background_task;

#[background_task(durable, name = "emails.send", key = to, max_unfinished_per_key = 1, on_full = replace)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
