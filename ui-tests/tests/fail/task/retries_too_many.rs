use bg_runtime::background_task;

#[background_task(retries = 4_294_967_296)]
async fn send_email(to: String) {
    drop(to);
}

fn main() {}
