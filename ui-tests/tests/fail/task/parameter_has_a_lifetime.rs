use bg_runtime::background_task;

#[background_task]
async fn send_email(to: std::borrow::Cow<'_, str>) {
    drop(to);
}

fn main() {}
