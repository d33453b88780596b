use std::collections::VecDeque;

use tokio::time::Instant;

use crate::run::end_of_wait;
use crate::task::Rate;

/// When the last runs of one line began, and how many more may: a sliding window, so that no span of time
/// as long as the rate's has more begins than the rate allows, wherever it lies.
#[derive(Debug)]
pub(super) struct RateWindow {
    rate: Rate,
    /// The number of runs that may begin, and have not yet. They count as if they began now.
    given: usize,
    /// The begins that count, oldest first.
    begins: VecDeque<Instant>,
}

/// Nothing may begin now.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::run) enum NoTurn {
    Until(Instant),
    /// Until one of the runs that may begin does, or gives its turn back.
    UntilABegin,
}

impl RateWindow {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            given: 0,
            begins: VecDeque::new(),
        }
    }

    /// Lets one more run begin.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), NoTurn> {
        self.forget(now);
        if self.given + self.begins.len() < self.rate.runs() {
            self.given += 1;
            return Ok(());
        }
        Err(match self.begins.front() {
            Some(oldest) => NoTurn::Until(end_of_wait(*oldest, self.rate.per())),
            None => NoTurn::UntilABegin,
        })
    }

    /// Records that a run begins which may.
    pub(super) fn begin(&mut self, now: Instant) {
        self.given -= 1;
        self.begins.push_back(now);
    }

    /// Takes back the turn of a run that does not begin.
    pub(super) fn give_back(&mut self) {
        self.given -= 1;
    }

    /// Returns whether nothing of it counts any more.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.given == 0 && self.begins.is_empty()
    }

    fn forget(&mut self, now: Instant) {
        let counts = |begun: &Instant| end_of_wait(*begun, self.rate.per()) > now;
        while self.begins.front().is_some_and(|begun| !counts(begun)) {
            self.begins.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Take,
        Begin,
        GiveBack,
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Take),
            4 => Just(Step::Begin),
            1 => Just(Step::GiveBack),
            3 => (0..15_u64).prop_map(Step::Pass),
        ];
        vec(step, 1..200)
    }

    proptest! {
        /// The model remembers every begin.
        #[test]
        fn a_window_allows_what_a_count_of_all_begins_allows(
            runs in 1..5_usize,
            per in 1..20_u64,
            steps in steps(),
        ) {
            let millis = Duration::from_millis;
            let begun = Instant::now();
            let at = |time: u64| begun + millis(time);
            let mut window = RateWindow::new(Rate::new(runs, millis(per)));
            let (mut now, mut given, mut begins) = (0_u64, 0, Vec::new());
            for step in steps {
                match step {
                    Step::Pass(time) => now += time,
                    Step::Begin if given > 0 => {
                        window.begin(at(now));
                        given -= 1;
                        begins.push(now);
                        let latest = begins.iter().filter(|begin| **begin + per > now);
                        prop_assert!(latest.count() <= runs, "more than {runs} in {per}: {begins:?}");
                    }
                    Step::GiveBack if given > 0 => {
                        window.give_back();
                        given -= 1;
                    }
                    Step::Begin | Step::GiveBack => {}
                    Step::Take => {
                        let counted: Vec<u64> =
                            begins.iter().copied().filter(|begin| begin + per > now).collect();
                        let expected = match counted.first() {
                            _ if counted.len() + given < runs => Ok(()),
                            Some(oldest) => Err(NoTurn::Until(at(oldest + per))),
                            None => Err(NoTurn::UntilABegin),
                        };
                        let taken = window.take(at(now));
                        given += usize::from(taken.is_ok());
                        prop_assert_eq!(taken, expected);
                    }
                }
                let counts = given > 0 || begins.iter().any(|begin| begin + per > now);
                prop_assert_eq!(window.is_over(at(now)), !counts);
            }
        }
    }
}
