//! The summary that a soak prints at its end.

use std::{collections::BTreeMap, fmt};

use crate::judge::{Broken, Counts, Violation};

/// The number of violations that are named.
const NAMED: usize = 10;

/// The number of violations after which more would say nothing new.
const HOPELESS: usize = 200;

/// All rounds together.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    counts: Counts,
    rounds: u64,
    broken: BTreeMap<Broken, usize>,
    first: Vec<Violation>,
}

impl Summary {
    pub(crate) fn add(&mut self, counts: Counts, violations: Vec<Violation>) {
        self.rounds += u64::from(counts != Counts::default());
        self.counts = self.counts + counts;
        for violation in violations {
            *self.broken.entry(violation.broken).or_default() += 1;
            if self.first.len() < NAMED {
                self.first.push(violation);
            }
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.broken.is_empty()
    }

    pub(crate) fn is_hopeless(&self) -> bool {
        self.broken.contains_key(&Broken::Hung) || self.broken.values().sum::<usize>() > HOPELESS
    }

    pub(crate) fn name_violations(&self) {
        for violation in &self.first {
            eprintln!("{violation}");
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            accepted,
            completed,
            failed,
            skipped,
            aborted,
            retries,
            judged,
        } = self.counts;
        let broken = |kind| self.broken.get(&kind).copied().unwrap_or_default();
        write!(
            f,
            "accepted={accepted} completed={completed} failed={failed} skipped={skipped} aborted={aborted} \
             early={} lost={} twice={}",
            broken(Broken::Early),
            broken(Broken::Lost),
            broken(Broken::Twice),
        )?;
        for (name, kind) in [
            ("wrong", Broken::Wrong),
            ("order", Broken::Order),
            ("limit", Broken::Limit),
            ("counts", Broken::Counts),
            ("untold", Broken::Untold),
            ("served", Broken::Served),
            ("alive", Broken::Alive),
            ("hung", Broken::Hung),
            ("memory", Broken::Memory),
        ] {
            write!(f, " {name}={}", broken(kind))?;
        }
        write!(
            f,
            " retries={retries} judged={judged} rounds={}",
            self.rounds
        )
    }
}
