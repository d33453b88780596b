use bg_runtime::background_task;

#[background_task]
async fn send_email(#[stat] to: String) {
    drop(to);
}

fn main() {}
