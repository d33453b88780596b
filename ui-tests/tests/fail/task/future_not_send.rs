use bg_runtime::background_task;

use std::rc::Rc;

#[background_task]
async fn send_email(to: String) {
    let to = Rc::new(to);
    std::future::ready(()).await;
    drop(to);
}

fn main() {}
