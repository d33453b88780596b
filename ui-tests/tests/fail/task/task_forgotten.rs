#![deny(dead_code)]

use bg_runtime::background_task;

#[background_task]
async fn send_email(to: String, #[default = 1] copies: u8) {
    drop((to, copies));
}

#[background_task]
async fn made_by_name(to: String, #[default = 1] copies: u8) {
    drop((to, copies));
}

#[background_task]
async fn made_by_new(to: String, #[default = 1] copies: u8) {
    drop((to, copies));
}

fn main() {
    drop(send_email("a@b.c".to_owned(), 1));
    drop(MadeByName {
        to: "a@b.c".to_owned(),
        copies: 2,
    });
    drop(MadeByNew::new("a@b.c"));
}
