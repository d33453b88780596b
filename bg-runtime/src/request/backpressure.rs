//! Holding a response back: until its durable tasks are stored, and there is room for the others (`Overflow::Wait`).

use std::sync::Arc;

use axum::body::Body;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_all};
use http::{Response, StatusCode};

use super::due::RequestEnd;
use super::queue::RequestTasks;
use crate::run::{PendingLimit, PendingPermit, Permits};

impl RequestTasks {
    /// Returns a future that waits until the response may go out; `None` if it need not wait. The future returns
    /// another response if the promises of this one cannot be kept.
    pub(super) fn hold_back<B>(
        self: &Arc<Self>,
        response: &mut Response<B>,
    ) -> Option<BoxFuture<'static, Option<Response<Body>>>> {
        let limit = self.runner().limits().responses_wait_for();
        if limit.is_none() && !self.runner().may_store() {
            return None;
        }
        self.pick_up(response);
        if self.state().handler_runs_on() {
            // Not the handler's response. The handler will end the request, which holds nothing back.
            return None;
        }
        let status = response.status();
        #[cfg(feature = "durable")]
        if let Some(stored) = self.wait_until_stored(status) {
            let request = self.clone();
            let wait = async move {
                let instead = stored.await;
                let room = match instead {
                    None => request.wait_for_room(status),
                    Some(_) => None,
                };
                // Before the response is let go: the number of these has a meaning.
                drop(request);
                if let Some(room) = room {
                    room.await;
                }
                instead
            };
            return Some(wait.boxed());
        }
        let room = self.wait_for_room(status)?;
        Some(room.map(|()| None).boxed())
    }

    /// Returns a future that waits for room for the tasks of a response; `None` if it need not wait.
    fn wait_for_room(self: &Arc<Self>, status: StatusCode) -> Option<BoxFuture<'static, ()>> {
        let limit = self.runner().limits().responses_wait_for()?.clone();
        self.skip_what_is_not_due(RequestEnd::Response(status));
        let waiting = self.waiting_for_room();
        self.state().waits_for_room = !waiting.is_empty();
        let request = self.clone();
        (!waiting.is_empty())
            .then(|| async move { request.acquire_room(limit, waiting).await }.boxed())
    }

    /// Returns the permits of the tasks that have no room yet.
    fn waiting_for_room(&self) -> Vec<Permits> {
        let mut waiting = Vec::new();
        let lists = &mut self.state().lists;
        lists.for_each_mut(&mut |task| {
            if task.needs_pending() {
                waiting.push(task.permits.clone());
            }
        });
        waiting
    }

    /// Waits until there is room for these tasks, or for those of them that are left: a handle may abort some.
    async fn acquire_room(&self, limit: Arc<PendingLimit>, mut waiting: Vec<Permits>) {
        while !waiting.is_empty() {
            let settled = select_all(waiting.iter().map(|task| task.settled().boxed()));
            tokio::select! {
                biased;
                permits = limit.clone().acquire_many(waiting.len()) => {
                    return self.set_pending(permits);
                }
                _ = settled => {}
            }
            waiting = self.waiting_for_room();
        }
        self.state().waits_for_room = false;
    }

    /// Distributes the permits among the tasks that need one. Tasks that came meanwhile were not counted:
    /// those left without a permit are let in beyond the limit when their lists run
    /// (`Runner::ensure_pending`).
    fn set_pending(&self, permits: Vec<PendingPermit>) {
        let mut permits = permits.into_iter();
        let state = &mut *self.state();
        state.waits_for_room = false;
        state.lists.for_each_mut(&mut |task| {
            if task.needs_pending() {
                if let Some(permit) = permits.next() {
                    task.set_pending(permit);
                }
            }
        });
    }
}
