use bg_runtime::background_task;

#[background_task(on_error = report)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
