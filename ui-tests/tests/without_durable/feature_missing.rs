use bg_runtime::background_task;

struct Connection;

#[background_task(durable, name = "emails.send", retries = 5, queue = "slow")]
async fn send_email(to: String, connection: Connection, #[default = 1] priority: u8) {
    drop((to, connection, priority));
}

fn main() {
    let _ = SendEmail::new("a@b.c", Connection).priority(2);
}
