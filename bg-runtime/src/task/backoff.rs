use std::fmt;
use std::time::Duration;

/// The wait between a run that failed and the next.
///
/// ```
/// use bg_runtime::{Backoff, TaskDef};
/// use std::time::Duration;
///
/// const DEF: TaskDef = TaskDef::new("prices.fetch")
///     .retries(5)
///     .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60)));
/// # let _ = DEF;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    least: Duration,
    most: Duration,
}

impl Backoff {
    /// From 100 ms to 10 s: long enough to outlast a blip, but short, because the tasks behind the one
    /// that failed wait with it.
    pub(super) const DEFAULT: Self =
        Self::exponential(Duration::from_millis(100), Duration::from_secs(10));

    /// Creates a backoff with the same wait each time.
    #[must_use]
    pub const fn fixed(wait: Duration) -> Self {
        Self {
            least: wait,
            most: wait,
        }
    }

    /// Creates a backoff with a random wait between `least` and a bound that doubles with each failure,
    /// up to `most`: between `least` and `2 * least` after the first failure, between `least` and
    /// `4 * least` after the second.
    ///
    /// The wait is random over the whole range, so that tasks which failed together do not come back
    /// together.
    ///
    /// # Panics
    ///
    /// If `least` is longer than `most`, or is zero, which does not grow. In a `const`, where records
    /// are made, this is a compile error.
    #[must_use]
    pub const fn exponential(least: Duration, most: Duration) -> Self {
        assert!(
            least.as_nanos() <= most.as_nanos(),
            "the shortest wait is longer than the longest"
        );
        assert!(
            !least.is_zero(),
            "a wait of zero does not grow, because each is twice the one before"
        );
        Self { least, most }
    }

    /// Returns the wait after `failures` runs that failed. `random` has to be evenly distributed over
    /// its type.
    pub(crate) fn wait(&self, failures: u32, random: u64) -> Duration {
        // A nanosecond that has doubled a hundred times is longer than the longest duration.
        let doublings = 0..failures.min(100);
        let doubled = doublings.fold(self.least, |bound, _| bound.saturating_mul(2));
        let bound = doubled.min(self.most);
        self.least + part(bound - self.least, random)
    }
}

/// Returns `span * random / 2^64`, from the upper half of `random`, so that the product fits 128 bits.
fn part(span: Duration, random: u64) -> Duration {
    let random = u128::from(random >> 32);
    // A duration has at most 94 bits of nanoseconds, so this does not overflow.
    let nanos = (span.as_nanos() * random) >> 32;
    let secs = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    let nanos = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Duration::new(secs, nanos)
}

impl Default for Backoff {
    /// Exponential, from 100 ms to 10 s.
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// As it is written in the attribute: `1s`, `1s..60s`.
impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{:?}", self.least)
        } else {
            write!(f, "{:?}..{:?}", self.least, self.most)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn durations() -> impl Strategy<Value = Duration> {
        let any_length = (any::<u64>(), 0..1_000_000_000_u32);
        prop_oneof![
            any_length.prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
            (1..100_000_u64).prop_map(Duration::from_millis),
            (1..100_u64).prop_map(Duration::from_nanos),
            Just(Duration::MAX),
        ]
    }

    fn backoffs() -> impl Strategy<Value = Backoff> {
        let bounds = (durations(), durations());
        let bounds = bounds.prop_filter("doubles", |(a, b)| !(a.is_zero() || b.is_zero()));
        bounds.prop_map(|(a, b)| Backoff::exponential(a.min(b), a.max(b)))
    }

    fn failures() -> impl Strategy<Value = u32> {
        prop_oneof![1..100_u32, any::<u32>(), Just(u32::MAX)]
    }

    /// The bound, in closed form: `least * 2^failures`, up to `most`.
    fn bound(backoff: &Backoff, failures: u32) -> Duration {
        let nanos = backoff.least.as_nanos();
        // The longest duration has 94 bits of nanoseconds, so there is always room.
        let room = 127 - (128 - nanos.leading_zeros());
        let doubled = if failures > room {
            u128::MAX
        } else {
            nanos << failures
        };
        if doubled >= backoff.most.as_nanos() {
            return backoff.most;
        }
        let secs = u64::try_from(doubled / 1_000_000_000).unwrap();
        Duration::new(secs, (doubled % 1_000_000_000) as u32)
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_the_shortest_and_the_longest(
            backoff in backoffs(),
            failures in failures(),
            random: u64,
        ) {
            let wait = backoff.wait(failures, random);
            prop_assert!(wait >= backoff.least && wait <= backoff.most, "{wait:?}");
            prop_assert!(wait <= bound(&backoff, failures), "{wait:?}");
        }

        #[test]
        fn the_shortest_and_the_longest_wait_are_both_reached(
            backoff in backoffs(),
            failures in failures(),
        ) {
            prop_assert_eq!(backoff.wait(failures, 0), backoff.least);
            // The random number stands for a fraction of one, and is always less than one.
            let (most, bound) = (backoff.wait(failures, u64::MAX), bound(&backoff, failures));
            let missing = bound.saturating_sub(most).as_nanos();
            prop_assert!(missing <= (bound.as_nanos() >> 32) + 1, "{most:?} of {bound:?}");
        }

        #[test]
        fn more_failures_or_a_larger_random_number_never_shorten_a_wait(
            backoff in backoffs(),
            failures in failures(),
            (less, more) in (any::<u64>(), any::<u64>()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        ) {
            prop_assert!(backoff.wait(failures, less) <= backoff.wait(failures, more));
            let later = failures.saturating_add(1);
            prop_assert!(backoff.wait(failures, less) <= backoff.wait(later, less));
        }

        #[test]
        fn a_fixed_wait_is_the_same_after_each_failure(
            wait in durations(),
            failures in failures(),
            random: u64,
        ) {
            prop_assert_eq!(Backoff::fixed(wait).wait(failures, random), wait);
        }
    }

    #[test]
    fn a_fixed_wait_may_be_zero() {
        assert_eq!(
            Backoff::fixed(Duration::ZERO).wait(1, u64::MAX),
            Duration::ZERO
        );
    }

    #[test]
    #[should_panic = "the shortest wait is longer than the longest"]
    fn a_shortest_wait_above_the_longest_is_refused() {
        let _ = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(1));
    }

    #[test]
    #[should_panic = "a wait of zero does not grow"]
    fn a_growing_wait_that_begins_at_zero_is_refused() {
        let _ = Backoff::exponential(Duration::ZERO, Duration::from_secs(1));
    }

    #[test]
    fn a_backoff_displays_as_the_attribute_writes_it() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(Backoff::fixed(second).to_string(), "1s");
        assert_eq!(Backoff::exponential(second, minute).to_string(), "1s..60s");
        assert_eq!(Backoff::default().to_string(), "100ms..10s");
    }
}
