//! The table that is printed.

use std::time::Duration;

pub(crate) fn print_head() {
    println!("| figure | this library | by hand | ratio | goal |\n|---|---|---|---|---|");
}

pub(crate) fn row(figure: &str, own: &str, by_hand: &str, ratio: &str, goal: &str) {
    println!("| {figure} | {own} | {by_hand} | {ratio} | {goal} |");
}

/// The element below which are so many of a hundred.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let at = times.len() * percent / 100;
    times
        .get(at.min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

pub(crate) fn ratio(own: f64, by_hand: f64) -> String {
    format!("{:.2}", own / by_hand)
}
