//! The time of day, which tests move together with tokio's clock.

use std::time::SystemTime;

use tokio::time::Instant;

/// Returns the time of day. In a test that pauses tokio's clock, it moves with that.
pub(crate) fn now() -> SystemTime {
    let (here, real) = (Instant::now().into_std(), std::time::Instant::now());
    let day = SystemTime::now();
    // Nothing but a paused clock is ahead of the real one or behind it.
    let moved = match here.checked_duration_since(real) {
        Some(ahead) => day.checked_add(ahead),
        None => day.checked_sub(real.duration_since(here)),
    };
    moved.unwrap_or(day)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_moves_with_a_paused_clock() {
        let before = now();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let passed = now().duration_since(before).unwrap();
        assert!(passed.abs_diff(Duration::from_secs(3600)) < Duration::from_secs(60));
    }
}
