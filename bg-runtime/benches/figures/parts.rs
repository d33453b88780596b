//! Figures that need a program of their own: a benchmark of this package that prints `name=number`,
//! one per line.

use std::collections::HashMap;
use std::process::Stdio;

use crate::cargo::cargo;

/// Builds and runs the benchmark of this name.
pub(crate) fn run(bench: &str) -> HashMap<String, f64> {
    let output = cargo()
        .args([
            "bench",
            "--quiet",
            "--package",
            "bg-runtime",
            "--bench",
            bench,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "the benchmark `{bench}` failed");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, number)| (name.to_owned(), number.parse().expect("a number")))
        .collect()
}
