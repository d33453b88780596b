#![allow(unused_variables)]

use bg_runtime::background_task;

#[background_task]
async fn send_email(to: String, to: String) {
    drop(to);
}

fn main() {}
