use bg_runtime::background_task;

const PER: std::time::Duration = std::time::Duration::from_secs(1);

#[background_task(rate = PER)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
