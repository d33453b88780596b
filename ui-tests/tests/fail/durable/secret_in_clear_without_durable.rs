use bg_runtime::background_task;

#[background_task()]
async fn send_email(#[secret(stored_in_clear)] to: String) {
    drop(to);
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
