use bg_runtime::background_task;

#[background_task]
async fn send_email(#[default] to: String) {
    drop(to);
}

fn main() {}
