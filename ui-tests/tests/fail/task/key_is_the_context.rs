use bg_runtime::{TaskContext, background_task};

#[background_task(key = cx, max_per_key = 1)]
async fn send_email(to: String, #[context] cx: TaskContext) {
    let _ = (to, cx);
}

fn main() {}
