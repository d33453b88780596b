//! The durable tasks of a request: a response is held back until its own are stored, because it promises them.
//!
//! ```text
//! Collecting ── the response is there ──> Storing ── stored, or not ──> Stored
//! ```
//!
//! What is stored is not dropped with the client: the write goes on by itself then, and ends the request.

use std::mem::{replace, take};
use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Response, StatusCode, header};

use super::due::{RequestEnd, skip_reason};
use super::queue::{RequestState, RequestTasks, Source};
use crate::durable::{EnqueueError, Kept};
use crate::log_target::RUNTIME;
use crate::one_line::OneLine;
use crate::run::{Hold, KeptTasks, UnstoredTask};
use crate::task::TaskId;

/// How long a client is asked to wait before it asks again, in seconds.
const RETRY_AFTER: u32 = 5;

/// The durable tasks of a request that has some.
#[derive(Default)]
pub(super) struct Outbox {
    collected: Vec<(Source, UnstoredTask)>,
    /// Stored tasks that start when the response has been sent.
    held: Vec<TaskId>,
    stage: OutboxStage,
}

#[derive(Default)]
enum OutboxStage {
    #[default]
    Collecting,
    Storing {
        /// The guard of the request is gone, so the end of the write ends the request.
        guard_gone: bool,
    },
    Stored(Result<RequestEnd, EnqueueError>),
}

impl Outbox {
    /// Returns whether stored tasks start when the response has been sent.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }
}

/// What the end of a request without a response is, as far as its outbox knows.
pub(super) enum OutboxEnd {
    /// Nothing was to be stored, or it was not begun.
    Unknown,
    /// The write will end the request.
    Later,
    Known(RequestEnd),
}

impl RequestState {
    /// Returns how many durable tasks the handler has added.
    pub(super) fn handler_outbox(&self) -> usize {
        let collected = self.outbox.iter().flat_map(|outbox| &outbox.collected);
        collected
            .filter(|(source, _)| *source == Source::Handler)
            .count()
    }

    /// Collects durable tasks, which are stored when the response is there.
    pub(super) fn collect_unstored(&mut self, source: Source, tasks: Vec<UnstoredTask>) {
        let outbox = self.outbox.get_or_insert_default();
        let tasks = tasks.into_iter().map(|task| (source, task));
        outbox.collected.extend(tasks);
    }

    /// Notes that the guard of the request is gone.
    pub(super) fn leave_outbox(&mut self) -> OutboxEnd {
        let Some(outbox) = &mut self.outbox else {
            return OutboxEnd::Unknown;
        };
        match &mut outbox.stage {
            OutboxStage::Collecting => OutboxEnd::Unknown,
            OutboxStage::Storing { guard_gone } => {
                *guard_gone = true;
                OutboxEnd::Later
            }
            OutboxStage::Stored(result) => OutboxEnd::Known(end_after(result)),
        }
    }
}

/// Returns how a request ends whose tasks were stored, or were not.
fn end_after(stored: &Result<RequestEnd, EnqueueError>) -> RequestEnd {
    match stored {
        Ok(end) => *end,
        Err(error) => RequestEnd::Response(error.status()),
    }
}

/// Returns the task if it is due at this end of its request. Otherwise it is settled as skipped.
pub(super) fn due_or_skipped(
    task: UnstoredTask,
    end: RequestEnd,
    whatever_status: bool,
) -> Option<UnstoredTask> {
    match skip_reason(task.when(), end, whatever_status) {
        None => Some(task),
        Some(reason) => {
            task.skip(reason);
            None
        }
    }
}

impl RequestTasks {
    /// Returns a future that waits until the durable tasks of this response are stored; `None` if there are none. If
    /// they cannot be, it returns the response that the client gets instead.
    pub(super) fn wait_until_stored(
        self: &Arc<Self>,
        status: StatusCode,
    ) -> Option<BoxFuture<'static, Option<Response<Body>>>> {
        let end = RequestEnd::Response(status);
        let mut due = self.take_due_of_outbox(end);
        if due.is_empty() {
            return None;
        }
        if let Some(until) = self.runner().hold_until() {
            due.iter_mut().for_each(|task| task.hold_until(until));
        }
        self.state().outbox.get_or_insert_default().stage =
            OutboxStage::Storing { guard_gone: false };
        let write = Write {
            request: Some(self.clone()),
            result: Err(EnqueueError::aborted()),
            _hold: self.runner().hold(),
        };
        let write = self.runner().detach_on_drop(write.run(due, end));
        let request = self.clone();
        let wait = async move {
            write.await;
            request.response_instead()
        };
        Some(wait.boxed())
    }

    /// Returns the response that the client gets if the tasks of its own are not stored.
    fn response_instead(&self) -> Option<Response<Body>> {
        let error = {
            let state = &mut *self.state();
            let OutboxStage::Stored(Err(error)) = &state.outbox.as_ref()?.stage else {
                return None;
            };
            let error = error.clone();
            state.is_replaced = true;
            error
        };
        if let Some(chosen) = self.runner().on_not_stored(&error) {
            return Some(chosen);
        }
        let mut response = error.status().into_response();
        // To send it again is safe only then: what the handler did stays done.
        if self.info().method().is_idempotent() && error.is_of_the_store() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, RETRY_AFTER.into());
        }
        Some(response)
    }

    /// Stores what is due of the outbox at the end of a request that has no response to hold back.
    pub(super) fn store_unsent(self: &Arc<Self>, end: RequestEnd) {
        let due = self.take_due_of_outbox(end);
        self.store_late(due);
    }

    /// Stores tasks of which no response waits.
    pub(super) fn store_late(self: &Arc<Self>, tasks: Vec<UnstoredTask>) {
        if tasks.is_empty() {
            return;
        }
        let (request, hold) = (self.clone(), self.runner().hold());
        self.runner().spawn_here(async move {
            // An error is reported, and can reach nobody else.
            let _ = request.store(tasks).await;
            drop(hold);
        });
    }

    /// Takes the tasks out of the outbox, and returns those that are due. The others are settled as skipped.
    fn take_due_of_outbox(&self, end: RequestEnd) -> Vec<UnstoredTask> {
        let (collected, handler_list_attached) = {
            let state = &mut *self.state();
            let Some(outbox) = &mut state.outbox else {
                return Vec::new();
            };
            let collected = take(&mut outbox.collected);
            (collected, state.handler_list_attached)
        };
        // Outside the lock, because skipping a task calls the user's error hooks.
        let due = collected.into_iter().filter_map(|(source, task)| {
            let whatever_status = match source {
                Source::Route => false,
                Source::Handler => handler_list_attached,
                Source::Response => true,
            };
            due_or_skipped(task, end, whatever_status)
        });
        due.collect()
    }

    /// Lets the durable tasks start that are held until the response has been sent.
    pub(super) fn release_held(&self) {
        let held = {
            let outbox = &mut self.state().outbox;
            let held = outbox.as_mut().map(|outbox| take(&mut outbox.held));
            held.unwrap_or_default()
        };
        if !held.is_empty() {
            self.runner().release_held(&held);
        }
    }

    /// Settles what was stored, and what there was enough of.
    fn settle_kept(&self, kept: KeptTasks) {
        let mut held = Vec::new();
        for (task, kept) in kept {
            match kept {
                Kept::Taken(_) => task.refuse(),
                Kept::Stored => {
                    let (is_held, due) = (task.is_held(), task.due());
                    let id = task.stored();
                    if is_held {
                        held.push((id, due));
                    }
                }
            }
        }
        if held.is_empty() {
            return;
        }
        let ids = held.iter().map(|(id, _)| *id);
        self.state().outbox.get_or_insert_default().held.extend(ids);
        self.runner().hold_stored(held);
    }

    async fn store(&self, tasks: Vec<UnstoredTask>) -> Result<(), EnqueueError> {
        let (error, tasks) = match self.runner().store_all(tasks).await {
            Ok(kept) => {
                self.settle_kept(kept);
                return Ok(());
            }
            Err(failed) => failed,
        };
        let names: Vec<_> = tasks.iter().map(UnstoredTask::name).collect();
        let info = self.info();
        tracing::error!(
            target: RUNTIME,
            {
                http.method = %info.method(),
                http.route = info.route().unwrap_or_else(|| info.path()),
                tasks = ?names,
                error = %OneLine(&error),
            },
            "the durable tasks of a response could not be stored"
        );
        for task in tasks {
            task.fail(error.clone());
        }
        Err(error)
    }
}

/// A write that is under way. Dropping it says how it went.
struct Write {
    /// `None` once the result is known to the request.
    request: Option<Arc<RequestTasks>>,
    result: Result<RequestEnd, EnqueueError>,
    /// Keeps a shutdown waiting for the write.
    _hold: Hold,
}

impl Write {
    async fn run(mut self, tasks: Vec<UnstoredTask>, end: RequestEnd) {
        if let Some(request) = &self.request {
            self.result = request.store(tasks).await.map(|()| end);
        }
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        let Some(request) = self.request.take() else {
            return;
        };
        let end = end_after(&self.result);
        let guard_gone = {
            let state = &mut *request.state();
            let outbox = state.outbox.get_or_insert_default();
            let guard_gone = matches!(outbox.stage, OutboxStage::Storing { guard_gone: true });
            let result = replace(&mut self.result, Ok(end));
            outbox.stage = OutboxStage::Stored(result);
            state.is_replaced |= guard_gone && matches!(outbox.stage, OutboxStage::Stored(Err(_)));
            guard_gone
        };
        if guard_gone {
            request.end_unsent(end);
        }
    }
}
