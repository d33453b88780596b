use bg_runtime::background_task;

#[background_task]
async fn send_email(
    #[secret]
    #[secret]
    to: String,
) {
    drop(to);
}

fn main() {}
