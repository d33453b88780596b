use bg_runtime::background_task;

#[background_task(durable, queue = 3, was = ".x", unique = [to, nobody], rate = "10/s", max_pending_per_key = 1)]
async fn send_email(#[was("copy")] to: String, copy: String) {
    drop((to, copy));
}

fn main() {
    let _ = SendEmail::new("a@b.c", "b@c.d");
}
