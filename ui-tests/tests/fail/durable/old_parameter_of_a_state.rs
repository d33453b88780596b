use bg_runtime::background_task;

#[background_task(durable, name = "emails.send")]
async fn send_email(
    to: String,
    #[was("db")]
    #[state]
    pool: u8,
) {
    drop((to, pool));
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
