//! Heap allocations and memory.

use crate::parts;
use crate::table::{Figure, Measured};

pub(crate) fn measure() {
    let measured = parts::run("allocations");
    let figure = |name, key: &str, goal, unit| Figure {
        name,
        measured: Measured::Value(measured[key]),
        goal,
        unit,
    };
    figure(
        "heap allocations of a request's first task, under `serve`",
        "first_task",
        Some(4.0),
        "",
    )
    .print();
    figure("  of each further task", "further_task", None, "").print();
    figure(
        "  of a request without tasks, beyond plain axum's",
        "response",
        None,
        "",
    )
    .print();
    figure(
        "memory of a list of one task (64 B) that waits for its response",
        "waiting_for_response",
        Some(1024.0),
        " B",
    )
    .print();
    figure(
        "memory of a list of one task (64 B) that waits for `max_concurrent`",
        "waiting_for_slot",
        Some(1024.0),
        " B",
    )
    .print();
    for (shape, name) in [
        ("concurrent", "a concurrent list before as many tasks"),
        ("small_lists", "as many lists of one task"),
        ("nested_lists", "as many lists, one inside the other"),
    ] {
        let each = [1, 10, 100, 1_000, 10_000].map(|count| measured[&format!("{shape}_{count}")]);
        println!("  bytes allocated for each task, {name}, of 1, 10, 100, 1,000, 10,000: {each:?}");
    }
}
