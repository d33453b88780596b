use bg_runtime::background_task;

#[background_task]
async fn send_email(
    #[state]
    #[secret]
    key: u8,
) {
    drop(key);
}

fn main() {}
