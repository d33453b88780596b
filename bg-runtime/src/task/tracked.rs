//! What the handles of one task share: its progress, and its outcome in the end.
//!
//! Made when something first asks for it: `spawn`, `add_tracked`, `Background::handle`, or the task's own
//! progress. Most tasks never have one.

use std::fmt;
use std::mem::replace;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::{Progress, TaskFailure, TaskId, TaskInfo};
use crate::contain::wake;
use crate::run::{EntryKey, Runner};
use crate::sync::Mutex;

/// The state of a task that handles watch.
pub(crate) struct Tracked {
    task: TaskInfo,
    id: TaskId,
    // None of the user's code runs under this lock: neither wakers nor destructors.
    state: Mutex<TrackedState>,
}

struct TrackedState {
    stage: TrackedStage,
    /// Rare, so boxed.
    progress: Option<Box<Progress>>,
    /// How often progress was reported.
    reports: u64,
    /// One for each [`Watcher`] that has waited. Empty until it waits again.
    wakers: Slab<Option<Waker>>,
}

enum TrackedStage {
    /// The task is in a list that no request has taken yet.
    Unqueued {
        is_aborted: bool,
    },
    // The other arrow from here up to the runner: a handle is one, once its task has been queued. It is
    // a ring, because the books of the runner have this; the end of the task breaks it.
    Queued {
        runner: Arc<Runner>,
        entry: EntryKey,
    },
    Ended(Result<(), TaskFailure>),
}

impl Tracked {
    /// Notes that the task is in the books of `runner`. If its handle has aborted it before that, it is aborted
    /// there now.
    pub(crate) fn queue(&self, runner: &Arc<Runner>, entry: EntryKey) {
        let is_aborted = {
            let stage = &mut self.state.lock().stage;
            let TrackedStage::Unqueued { is_aborted } = *stage else {
                return;
            };
            *stage = TrackedStage::Queued {
                runner: runner.clone(),
                entry,
            };
            is_aborted
        };
        if is_aborted {
            runner.abort_task(entry);
        }
    }

    pub(crate) fn abort(&self) {
        let (runner, entry) = match &mut self.state.lock().stage {
            TrackedStage::Unqueued { is_aborted } => {
                *is_aborted = true;
                return;
            }
            TrackedStage::Queued { runner, entry } => (runner.clone(), *entry),
            TrackedStage::Ended(_) => return,
        };
        runner.abort_task(entry);
    }

    /// Notes progress, unless the task has ended.
    pub(crate) fn set_progress(&self, progress: Progress) {
        let progress = Some(Box::new(progress));
        let (wakers, _replaced) = {
            let state = &mut *self.state.lock();
            if let TrackedStage::Ended(_) = state.stage {
                return;
            }
            state.reports += 1;
            let replaced = replace(&mut state.progress, progress);
            (state.take_wakers(), replaced)
        };
        wakers.into_iter().for_each(wake);
    }

    pub(crate) fn end(&self, outcome: Result<(), TaskFailure>) {
        let (wakers, _replaced) = {
            let state = &mut *self.state.lock();
            if let TrackedStage::Ended(_) = state.stage {
                return;
            }
            let replaced = replace(&mut state.stage, TrackedStage::Ended(outcome));
            (state.take_wakers(), replaced)
        };
        wakers.into_iter().for_each(wake);
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state.lock().stage, TrackedStage::Ended(_))
    }

    pub(crate) fn latest(&self) -> Option<Progress> {
        self.state.lock().progress.as_deref().cloned()
    }

    pub(crate) fn task(&self) -> TaskInfo {
        self.task
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }
}

impl TrackedState {
    /// Not to be woken under the lock.
    fn take_wakers(&mut self) -> Vec<Waker> {
        let wakers = self.wakers.iter_mut();
        wakers.filter_map(|(_, waker)| waker.take()).collect()
    }
}

/// The task's own end of what its handles watch. It moves along with the task; if it is dropped before the
/// task has an outcome, the handles are told that the task is lost, and wait no longer.
pub(crate) struct Tracker(Arc<Tracked>);

impl Tracker {
    pub(crate) fn new(task: TaskInfo, id: TaskId) -> Self {
        Self(Arc::new(Tracked {
            task,
            id,
            state: Mutex::new(TrackedState {
                stage: TrackedStage::Unqueued { is_aborted: false },
                progress: None,
                reports: 0,
                wakers: Slab::new(),
            }),
        }))
    }

    pub(crate) fn tracked(&self) -> &Arc<Tracked> {
        &self.0
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").finish_non_exhaustive()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        if !self.0.has_ended() {
            self.0.end(Err(TaskFailure::lost(self.0.task, self.0.id)));
        }
    }
}

/// One reader of a task's state, which waits for its next change.
pub(crate) struct Watcher {
    tracked: Arc<Tracked>,
    /// Its place among the wakers, once it has waited.
    place: Option<usize>,
    /// The number of the latest progress that it has seen.
    seen: u64,
}

impl Watcher {
    pub(crate) fn new(tracked: Arc<Tracked>) -> Self {
        Self {
            tracked,
            place: None,
            seen: 0,
        }
    }

    pub(crate) fn tracked(&self) -> &Arc<Tracked> {
        &self.tracked
    }

    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TaskFailure>> {
        self.poll(cx, |state, _| match &state.stage {
            TrackedStage::Ended(outcome) => Some(outcome.clone()),
            TrackedStage::Unqueued { .. } | TrackedStage::Queued { .. } => None,
        })
    }

    /// Returns the latest progress, if it has not been seen yet. `None` when the task has ended.
    pub(crate) fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.poll(cx, |state, seen| {
            if replace(seen, state.reports) < state.reports {
                return Some(state.progress.as_deref().cloned());
            }
            matches!(state.stage, TrackedStage::Ended(_)).then_some(None)
        })
    }

    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&TrackedState, &mut u64) -> Option<T>,
    ) -> Poll<T> {
        if let Some(found) = read(&self.tracked.state.lock(), &mut self.seen) {
            return Poll::Ready(found);
        }
        // Cloned outside of the lock, so the state may have changed since.
        let waker = cx.waker().clone();
        let _replaced = {
            let state = &mut *self.tracked.state.lock();
            if let Some(found) = read(state, &mut self.seen) {
                return Poll::Ready(found);
            }
            match self.place {
                Some(place) => state.wakers[place].replace(waker),
                None => {
                    self.place = Some(state.wakers.insert(Some(waker)));
                    None
                }
            }
        };
        Poll::Pending
    }
}

impl Clone for Watcher {
    fn clone(&self) -> Self {
        Self::new(self.tracked.clone())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let _waker = self.tracked.state.lock().wakers.remove(place);
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::poll_fn;

    use super::*;
    use crate::task::named;

    fn tracker() -> Tracker {
        let task = named("tracked", async {});
        Tracker::new(task.info(), task.id())
    }

    async fn end(watcher: &mut Watcher) -> Result<(), TaskFailure> {
        poll_fn(|cx| watcher.poll_end(cx)).await
    }

    #[tokio::test]
    async fn every_watcher_is_woken_and_told_the_end_again() {
        let tracker = tracker();
        let first = Watcher::new(tracker.tracked().clone());
        let waiting: Vec<_> = [first.clone(), first.clone()]
            .into_iter()
            .map(|mut watcher| tokio::spawn(async move { end(&mut watcher).await }))
            .collect();
        tokio::task::yield_now().await;
        tracker.tracked().end(Ok(()));
        for ended in waiting {
            assert!(ended.await.unwrap().is_ok());
        }
        let mut late = first;
        assert!(end(&mut late).await.is_ok());
        assert!(end(&mut late).await.is_ok());
    }

    #[test]
    fn a_waker_that_panics_keeps_no_other_from_being_woken() {
        struct Panics;

        impl std::task::Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("a waker");
            }
        }

        let tracker = tracker();
        let mut first = Watcher::new(tracker.tracked().clone());
        let waker = Waker::from(Arc::new(Panics));
        assert!(
            first
                .poll_end(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let (told, is_told) = std::sync::mpsc::channel();
        struct Tells(std::sync::mpsc::Sender<()>);

        impl std::task::Wake for Tells {
            fn wake(self: Arc<Self>) {
                self.0.send(()).unwrap();
            }
        }

        let mut second = first.clone();
        let waker = Waker::from(Arc::new(Tells(told)));
        assert!(
            second
                .poll_end(&mut Context::from_waker(&waker))
                .is_pending()
        );
        tracker.tracked().end(Ok(()));
        is_told.try_recv().unwrap();
    }

    #[test]
    fn a_tracker_that_is_dropped_ends_the_wait() {
        let tracker = tracker();
        let mut watcher = Watcher::new(tracker.tracked().clone());
        assert!(end(&mut watcher).now_or_never().is_none());
        drop(tracker);
        let lost = end(&mut watcher).now_or_never().unwrap().unwrap_err();
        assert_eq!(lost.kind(), crate::FailureKind::Aborted);
    }

    #[test]
    fn a_watcher_keeps_one_waker_and_takes_it_along() {
        let tracker = tracker();
        let wakers = || tracker.tracked().state.lock().wakers.len();
        let mut watcher = Watcher::new(tracker.tracked().clone());
        for _ in 0..3 {
            assert!(end(&mut watcher).now_or_never().is_none());
        }
        assert_eq!(wakers(), 1);
        drop(watcher.clone());
        assert_eq!(wakers(), 1);
        drop(watcher);
        assert_eq!(wakers(), 0);
    }
}
