use bg_runtime::background_task;

use std::rc::Rc;

#[background_task]
async fn send_email(to: Rc<String>) {
    drop(to);
}

fn main() {}
