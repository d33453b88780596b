use bg_runtime::background_task;

struct Connection;

#[background_task(durable, name = "emails.send")]
async fn send_email(all: Vec<Option<Connection>>) {
    drop(all);
}

fn main() {
    let _ = SendEmail::new(vec![None]);
}
