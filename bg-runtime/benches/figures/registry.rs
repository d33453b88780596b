//! The time that it takes to build a `Background`.

use crate::parts;
use crate::table::{Figure, Measured};

pub(crate) fn measure() {
    let figure = |name, bench, goal| Figure {
        name,
        measured: Measured::Value(parts::run(bench)["build_ms"]),
        goal: Some(goal),
        unit: " ms",
    };
    figure(
        "`build()` with 1,000 registered tasks",
        "registry_1000",
        1.0,
    )
    .print();
    figure(
        "`build()` with 10,000 registered tasks",
        "registry_10000",
        10.0,
    )
    .print();
}
