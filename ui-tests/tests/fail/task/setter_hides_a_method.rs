use bg_runtime::background_task;

#[background_task()]
async fn send_email(to: String, #[default = 1] delay: u8) {
    drop((to, delay));
}

fn main() {
    let _ = SendEmail::new("a@b.c");
}
