use bg_runtime::background_task;

#[background_task]
async fn send_email<T: ToString + Send>(to: T) {
    drop(to.to_string());
}

fn main() {
    let _ = SendEmail::new(7);
}
