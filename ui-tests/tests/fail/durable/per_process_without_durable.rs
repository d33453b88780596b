use bg_runtime::background_task;

#[background_task(per_process(rate = "10/s"))]
async fn send_email(to: String) {
    drop(to);
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
