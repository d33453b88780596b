//! The time that `Background::builder().build()` takes, in a program that knows many tasks. The registry is
//! made by the linker, so each number of tasks is a program of its own.

use std::time::Instant;

use bg_runtime::Background;

const ROUNDS: usize = 101;

/// Registers ten tasks for each `_`, times ten for each further one.
macro_rules! register {
    ([] $($digit:literal)*) => {
        bg_runtime::__private::inventory::submit! {
            const { &bg_runtime::TaskDef::new(concat!(module_path!(), "::task" $(, "_", $digit)*)) }
        }
    };
    ([_ $($more:tt)*] $($digit:literal)*) => {
        $crate::registry::register!([$($more)*] $($digit)* 0);
        $crate::registry::register!([$($more)*] $($digit)* 1);
        $crate::registry::register!([$($more)*] $($digit)* 2);
        $crate::registry::register!([$($more)*] $($digit)* 3);
        $crate::registry::register!([$($more)*] $($digit)* 4);
        $crate::registry::register!([$($more)*] $($digit)* 5);
        $crate::registry::register!([$($more)*] $($digit)* 6);
        $crate::registry::register!([$($more)*] $($digit)* 7);
        $crate::registry::register!([$($more)*] $($digit)* 8);
        $crate::registry::register!([$($more)*] $($digit)* 9);
    };
}
pub(crate) use register;

/// Prints the median as `build_ms=number`, for the figures to read.
pub(crate) fn print_build_time(tasks: usize) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            let background = Background::builder().build().expect("the names differ");
            let took = begun.elapsed();
            assert_eq!(background.tasks().len(), tasks);
            took.as_secs_f64() * 1e3
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("build_ms={:.3}", rounds[ROUNDS / 2]);
}
