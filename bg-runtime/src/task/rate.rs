use std::fmt;
use std::time::Duration;

/// How many runs of a task may begin in any span of time of the same length.
///
/// ```
/// use bg_runtime::{Rate, TaskDef};
/// use std::time::Duration;
///
/// const DEF: TaskDef = TaskDef::new("prices.fetch").rate(Rate::new(10, Duration::from_secs(1)));
/// assert_eq!(DEF.limits().rate.unwrap().to_string(), "10/s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    runs: usize,
    per: Duration,
}

impl Rate {
    /// Creates a rate of `runs` in any span of time as long as `per`.
    ///
    /// A [`Background`](crate::Background) remembers when each of the last `runs` began, for each key, so
    /// a rate of some hundred is better than one of a million.
    ///
    /// # Panics
    ///
    /// If one of the two is zero. In a `const`, where records are made, this is a compile error.
    #[must_use]
    pub const fn new(runs: usize, per: Duration) -> Self {
        assert!(runs > 0, "with a rate of zero the task never runs");
        assert!(
            !per.is_zero(),
            "a rate in no time at all limits nothing: leave it out"
        );
        Self { runs, per }
    }

    /// The number of runs that may begin.
    #[must_use]
    pub const fn runs(&self) -> usize {
        self.runs
    }

    /// The length of the span of time.
    #[must_use]
    pub const fn per(&self) -> Duration {
        self.per
    }
}

/// As it is written in the attribute: `10/s`, `10/5m`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u128); 5] = [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ];
        write!(f, "{}/", self.runs)?;
        if self.per.subsec_nanos() % 1_000_000 != 0 {
            return write!(f, "{:?}", self.per);
        }
        let millis = self.per.as_millis();
        let whole = UNITS.iter().find(|(_, unit)| millis % unit == 0);
        let (unit, length) = whole.expect("every number is a multiple of one");
        match millis / length {
            1 if *unit != "ms" => f.write_str(unit),
            count => write!(f, "{count}{unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_shown_as_it_is_written_in_the_attribute() {
        for (runs, millis, expected) in [
            (10, 1_000, "10/s"),
            (1, 60_000, "1/m"),
            (100, 3_600_000, "100/h"),
            (5, 86_400_000, "5/d"),
            (10, 10_000, "10/10s"),
            (3, 90_000, "3/90s"),
            (2, 500, "2/500ms"),
            (2, 1, "2/1ms"),
            (1, 172_800_000, "1/2d"),
        ] {
            let rate = Rate::new(runs, Duration::from_millis(millis));
            assert_eq!(rate.to_string(), expected);
        }
        let odd = Rate::new(7, Duration::from_micros(1_500));
        assert_eq!(odd.to_string(), "7/1.5ms");
    }
}
