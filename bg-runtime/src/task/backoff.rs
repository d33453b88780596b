use std::fmt;
use std::time::Duration;

/// How long a task waits between a run that failed and the next.
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
    /// From 100 ms to 10 s: long enough for a blip, and short, because the tasks behind the one that
    /// failed wait with it.
    pub(super) const DEFAULT: Self =
        Self::exponential(Duration::from_millis(100), Duration::from_secs(10));

    /// The same wait each time.
    #[must_use]
    pub const fn fixed(wait: Duration) -> Self {
        Self {
            least: wait,
            most: wait,
        }
    }

    /// A random wait between `least` and a bound that doubles with each failure, up to `most`: between
    /// `least` and `2 * least` after the first failure, between `least` and `4 * least` after the
    /// second.
    ///
    /// The jitter is full, so that tasks which failed together do not come back together.
    ///
    /// # Panics
    ///
    /// When `least` is zero, which does not grow, or longer than `most`: in a `const`, where records are
    /// made, that is a compile error.
    #[must_use]
    pub const fn exponential(least: Duration, most: Duration) -> Self {
        assert!(!least.is_zero(), "a wait of zero never grows");
        assert!(
            least.as_nanos() <= most.as_nanos(),
            "the shortest wait is longer than the longest"
        );
        Self { least, most }
    }

    /// The wait after `failures` runs that failed. `random` is evenly distributed over its type.
    pub(crate) fn wait(&self, failures: u32, random: u64) -> Duration {
        let doubled = 1_u32
            .checked_shl(failures)
            .and_then(|factor| self.least.checked_mul(factor));
        let bound = doubled.map_or(self.most, |bound| bound.min(self.most));
        self.least + part(bound.saturating_sub(self.least), random)
    }
}

/// `span * random / 2^64`, in whole numbers.
fn part(span: Duration, random: u64) -> Duration {
    let random = u128::from(random >> 32);
    // A duration has fewer than 94 bits of nanoseconds, so this does not overflow.
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

/// As the attribute writes it: `1s`, `1s..60s`.
impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{:?}", self.least)
        } else {
            write!(f, "{:?}..{:?}", self.least, self.most)
        }
    }
}
