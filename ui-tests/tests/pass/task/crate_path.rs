//! The runtime under another name: in a module, and from the macro of another crate.

#![deny(warnings)]

mod facade {
    pub mod tasks {
        pub use bg_runtime::*;
    }
}

macro_rules! task {
    ($name:ident) => {
        #[bg_runtime::background_task(crate = $crate::facade::tasks)]
        async fn $name(
            to: &str,
            #[state] state: u8,
            #[context] cx: $crate::facade::tasks::TaskContext,
        ) {
            let _ = (to, state, cx);
        }
    };
}

task!(first);

mod elsewhere {
    use crate::facade::tasks::background_task;

    #[background_task(crate = crate::facade::tasks, timeout = "1s")]
    pub fn second(to: String) {
        let _ = to;
    }
}

fn main() {
    let _ = (First::new("a"), elsewhere::Second::new("b"));
}
