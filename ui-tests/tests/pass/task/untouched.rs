//! The function stays as it was: it is called as before, and from where it was.

#![deny(warnings)]

mod tasks {
    use bg_runtime::background_task;

    #[background_task]
    pub(super) fn double(number: &numbers::Number, #[default = 1] times: u32, #[secret] key: u8) {
        let _ = (number.0, times, key);
    }

    #[background_task]
    #[expect(clippy::unused_async)]
    pub(crate) async fn nothing() -> Result<(), std::fmt::Error> {
        Ok(())
    }

    pub(crate) mod numbers {
        pub(crate) struct Number(pub(crate) u8);
    }
}

use tasks::{Double, Nothing, double, nothing};

fn main() {
    let () = double(&tasks::numbers::Number(1), 2, 3);
    let future: std::pin::Pin<Box<dyn Future<Output = Result<(), std::fmt::Error>>>> =
        Box::pin(nothing());
    drop(future);
    let _ = (Double::new(tasks::numbers::Number(1), 3).times(2), Nothing);
}
