use bg_runtime::background_task;

#[background_task]
async fn send_email(#[context] cx: String) {
    drop(cx);
}

fn main() {}
