use bg_runtime::background_task;

struct Connection;

#[background_task(durable, name = "emails.send")]
async fn send_email(to: &str, connection: &Connection) {
    drop((to, connection));
}

fn main() {
    let _ = SendEmail::new("a@b.c", Connection);
}
