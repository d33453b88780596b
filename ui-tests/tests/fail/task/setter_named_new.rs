use bg_runtime::background_task;

#[background_task]
async fn send_email(#[default = 1] new: u8) {
    drop(new);
}

fn main() {}
