use bg_runtime::background_task;

#[background_task(durable, name = "emails.send")]
async fn send_email(#[was("address")] to: String, #[was("address")] copy: String) {
    drop((to, copy));
}

fn main() {
    let _ = SendEmail::new("a@b.c", "b@c.d");
}
