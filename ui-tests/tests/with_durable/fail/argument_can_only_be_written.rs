use bg_runtime::background_task;
use serde::Serialize;

#[derive(Serialize)]
struct Order;

#[background_task(durable, name = "emails.send")]
async fn send_email(order: Order) {
    drop(order);
}

fn main() {
    let _ = SendEmail::new(Order);
}
