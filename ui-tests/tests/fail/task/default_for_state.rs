use bg_runtime::background_task;

#[background_task]
async fn send_email(
    #[state]
    #[default = 1]
    priority: u8,
) {
    drop(priority);
}

fn main() {}
