//! Ends a task that its handle has aborted: at once where it waits, at its next await point where it runs.
//!
//! The handle settles the task in the books, which is its outcome, and wakes what is here to drop its future.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::{EntryKey, Runner};
use crate::contain::contain_drop;

/// Runs what runs a task, or waits to, until its handle aborts the task. `None` if it has.
pub(super) fn until_aborted<R, F>(runner: R, task: EntryKey, future: F) -> Abortable<R, F>
where
    R: Deref<Target = Runner>,
{
    Abortable {
        future: Some(future),
        aborts: runner.ledger.aborts(),
        runner,
        task,
        waker: None,
    }
}

pin_project! {
    /// See [`until_aborted`].
    pub(super) struct Abortable<R, F> {
        #[pin]
        future: Option<F>,
        runner: R,
        task: EntryKey,
        // How many tasks had been aborted when this was last looked at: what every poll reads instead of
        // the books, which would take their lock.
        aborts: u64,
        // What the books wake, once the future has waited. Most futures of tasks never do.
        waker: Option<Waker>,
    }
}

impl<R, F> Future for Abortable<R, F>
where
    R: Deref<Target = Runner>,
    F: Future,
{
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let ledger = &this.runner.ledger;
        let aborts = ledger.aborts();
        if *this.aborts != aborts {
            *this.aborts = aborts;
            if ledger.was_aborted(*this.task) {
                // Contained, because its list goes on.
                contain_drop(|| this.future.set(None));
                return Poll::Ready(None);
            }
        }
        let future = this.future.as_mut().as_pin_mut();
        let future = future.expect("it is dropped only when this ends");
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        let knows_waker = this
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()));
        if !knows_waker {
            let waker = cx.waker().clone();
            if !ledger.set_waker(*this.task, waker.clone()) {
                // Contained, because its list goes on.
                contain_drop(|| this.future.set(None));
                return Poll::Ready(None);
            }
            *this.waker = Some(waker);
        }
        Poll::Pending
    }
}
