#![deny(warnings)]

use bg_runtime::{Task, background_task};

fn main() {
    struct Local;

    #[background_task]
    async fn send(local: Local, to: &str) {
        let _ = (local, to);
    }

    #[background_task]
    fn ping() {}

    let _ = (Send::new(Local, "a"), Ping, Ping::new());
    assert!(Ping::DEF.name().ends_with("::ping"));
}
