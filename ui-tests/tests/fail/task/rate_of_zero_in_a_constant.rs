use bg_runtime::background_task;

const NONE: usize = 0;

#[background_task(rate = bg_runtime::Rate::new(NONE, std::time::Duration::from_secs(1)))]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
