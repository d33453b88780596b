use bg_runtime::background_task;

#[background_task]
async fn send_email(to: &(dyn ToString + Send + Sync)) {
    drop(to.to_string());
}

fn main() {}
