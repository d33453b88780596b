use bg_runtime::background_task;

#[background_task(crate = bg_runtime)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
