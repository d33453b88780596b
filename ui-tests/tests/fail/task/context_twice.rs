use bg_runtime::{TaskContext, background_task};

#[background_task]
async fn send_email(#[context] a: TaskContext, #[context] b: TaskContext) {
    drop((a, b));
}

fn main() {}
