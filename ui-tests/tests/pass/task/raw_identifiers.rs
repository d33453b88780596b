#![deny(warnings)]

use bg_runtime::{Task, background_task};

#[background_task]
fn r#move(r#type: u8, #[default = 1] r#in: u8, #[state] r#fn: u32) {
    let _ = (r#type, r#in, r#fn);
}

fn main() {
    let task = Move::new(3).r#in(4);
    assert_eq!((task.r#type, task.r#in), (3, 4));
    assert_eq!(Move { r#type: 1, r#in: 2 }.r#type, 1);
    assert!(Move::DEF.name().ends_with("::move"));
}
