use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::rate_window::{NoTurn, RateWindow};
use super::running::{RunLimit, RunPermit};
use crate::sync::Mutex;
use crate::task::Rate;

/// The lines of tasks with a rate: one for each key, or for the name of tasks without a key.
///
/// A line outlives its tasks, because the begins of the last ones still count. So each task that comes looks
/// at two other lines, and removes those that are over: there are never many more lines than keys in the
/// last span of a rate.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<RateLines>);

#[derive(Debug, Default)]
struct RateLines {
    by_key: HashMap<RateKey, Arc<RateLine>>,
    /// The keys in the order in which they are looked at.
    sweep: VecDeque<RateKey>,
}

/// A task's name, and the key that the task gave.
pub(super) type RateKey = (&'static str, Option<Arc<str>>);

impl Rates {
    /// Returns the line of these tasks.
    pub(super) fn line(&self, key: RateKey, rate: Rate) -> Arc<RateLine> {
        let lines = &mut *self.0.lock();
        let line = lines.by_key.get(&key).cloned();
        let line = line.unwrap_or_else(|| lines.insert(key, rate));
        lines.remove_some(Instant::now());
        line
    }
}

impl RateLines {
    fn insert(&mut self, key: RateKey, rate: Rate) -> Arc<RateLine> {
        let line = Arc::new(RateLine {
            head: RunLimit::new(1),
            window: Mutex::new(RateWindow::new(rate)),
            moved: Notify::new(),
        });
        self.sweep.push_back(key.clone());
        self.by_key.insert(key, line.clone());
        line
    }

    /// Looks at the next two lines, and removes those that are over and that no task has.
    fn remove_some(&mut self, now: Instant) {
        for _ in 0..2 {
            let Some(key) = self.sweep.pop_front() else {
                return;
            };
            let line = &self.by_key[&key];
            if Arc::strong_count(line) == 1 && line.window.lock().is_over(now) {
                self.by_key.remove(&key);
            } else {
                self.sweep.push_back(key);
            }
        }
        // The tables do not shrink on their own.
        if self.by_key.capacity() > 4 * self.by_key.len() + 64 {
            self.by_key.shrink_to_fit();
            self.sweep.shrink_to_fit();
        }
    }
}

/// The tasks that share a rate, in the order in which they came.
#[derive(Debug)]
pub(in crate::run) struct RateLine {
    /// The place of the one that is asked next.
    head: RunLimit,
    window: Mutex<RateWindow>,
    /// Notified when a run with a turn has begun or does not begin.
    moved: Notify,
}

impl RateLine {
    /// Returns the head of the line, if nothing else waits.
    pub(in crate::run) fn try_head(self: &Arc<Self>) -> Option<RateHead> {
        Some(RateHead {
            _place: self.head.try_acquire()?,
            line: self.clone(),
        })
    }

    /// Waits for the head of the line.
    pub(in crate::run) async fn head(self: Arc<Self>) -> RateHead {
        RateHead {
            _place: self.head.acquire().await,
            line: self,
        }
    }
}

/// The first place of a line. The next task in line gets it when this is dropped.
#[derive(Debug)]
pub(in crate::run) struct RateHead {
    line: Arc<RateLine>,
    _place: RunPermit,
}

impl RateHead {
    /// Returns a turn, if the rate lets a run begin now.
    pub(in crate::run) fn try_turn(&self) -> Result<RateTurn, NoTurn> {
        self.line.window.lock().take(Instant::now())?;
        Ok(RateTurn {
            line: self.line.clone(),
            begun: false,
        })
    }

    /// Waits until another run of the line has begun, or has given its turn back. May end early.
    pub(in crate::run) async fn moved(&self) {
        self.line.moved.notified().await;
    }
}

/// The right of one run to begin. It counts as a begin from the moment it is given: the run may still have to
/// wait for something else, and if several did, their begins might come together.
#[derive(Debug)]
pub(in crate::run) struct RateTurn {
    line: Arc<RateLine>,
    begun: bool,
}

impl RateTurn {
    /// Records that the run begins now.
    pub(super) fn begin(&mut self) {
        self.begun = true;
        self.line.window.lock().begin(Instant::now());
        self.line.moved.notify_one();
    }
}

impl Drop for RateTurn {
    fn drop(&mut self) {
        if !self.begun {
            self.line.window.lock().give_back();
            self.line.moved.notify_one();
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ONE_PER_SECOND: Rate = Rate::new(1, SECOND);

    fn of(key: &str) -> RateKey {
        ("mail.send", Some(key.into()))
    }

    fn begin(line: &Arc<RateLine>) -> Result<(), NoTurn> {
        let head = line.try_head().expect("nothing waits");
        head.try_turn().map(|mut turn| turn.begin())
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_outlives_its_tasks_while_their_begins_count() {
        let rates = Rates::default();
        let now = Instant::now();
        begin(&rates.line(of("ada"), ONE_PER_SECOND)).unwrap();
        let again = begin(&rates.line(of("ada"), ONE_PER_SECOND));
        assert_eq!(again, Err(NoTurn::Until(now + SECOND)));
        begin(&rates.line(of("grace"), ONE_PER_SECOND)).unwrap();
        begin(&rates.line(("mail.send", None), ONE_PER_SECOND)).unwrap();
        tokio::time::advance(SECOND).await;
        begin(&rates.line(of("ada"), ONE_PER_SECOND)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_no_more_lines_than_keys_in_the_last_span() {
        const KEYS: usize = 1_000;
        let rates = Rates::default();
        for span in 0..20 {
            for number in 0..KEYS {
                let line = rates.line(of(&format!("{span} {number}")), ONE_PER_SECOND);
                begin(&line).unwrap();
            }
            {
                let lines = rates.0.lock();
                assert!(lines.by_key.len() <= KEYS + 2, "{}", lines.by_key.len());
                assert_eq!(lines.by_key.len(), lines.sweep.len());
            }
            tokio::time::advance(SECOND).await;
        }
        // Fewer keys come, and the tables shrink.
        for _ in 0..KEYS {
            rates.line(of("the last"), ONE_PER_SECOND);
        }
        let lines = rates.0.lock();
        assert_eq!(lines.by_key.len(), 1);
        assert!(
            lines.by_key.capacity() < KEYS,
            "{}",
            lines.by_key.capacity()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_kept_while_a_task_has_it() {
        let rates = Rates::default();
        let kept = rates.line(of("ada"), ONE_PER_SECOND);
        for _ in 0..3 {
            rates.line(of("grace"), ONE_PER_SECOND);
        }
        begin(&kept).unwrap();
        assert!(begin(&rates.line(of("ada"), ONE_PER_SECOND)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_given_back_lets_another_run_begin() {
        let rates = Rates::default();
        let line = rates.line(of("ada"), ONE_PER_SECOND);
        let turn = line.try_head().unwrap().try_turn().unwrap();
        let next = line.try_head().expect("the first has left it");
        assert_eq!(next.try_turn().unwrap_err(), NoTurn::UntilABegin);
        assert!(next.moved().now_or_never().is_none());
        drop(turn);
        next.moved().now_or_never().expect("it moved");
        next.try_turn().unwrap();
    }
}
