use bg_runtime::background_task;

#[background_task]
async fn send_email(to: Vec<&str>) {
    drop(to.len());
}

fn main() {}
