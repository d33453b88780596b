use bg_runtime::background_task;

#[background_task]
async fn send_email(#[default = "high"] priority: u8) {
    drop(priority);
}

fn main() {}
