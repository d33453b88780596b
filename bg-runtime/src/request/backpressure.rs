//! Holding a response back until there is room for its tasks (`Overflow::Wait`).

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Response;

use super::due::RequestEnd;
use super::queue::RequestTasks;
use crate::run::PendingPermit;

impl RequestTasks {
    /// Returns a future that waits for room for the tasks of this response; `None` if the response need
    /// not wait.
    pub(super) fn wait_for_room<B>(
        self: &Arc<Self>,
        response: &mut Response<B>,
    ) -> Option<BoxFuture<'static, ()>> {
        let limit = self.runner().limits().responses_wait_for()?.clone();
        self.pick_up(response);
        if self.state().handler_runs_on() {
            // Not the handler's response. The handler will end the request, which holds nothing back.
            return None;
        }
        self.skip_what_is_not_due(RequestEnd::Response(response.status()));
        let count = {
            let state = &mut *self.state();
            let mut count = 0;
            state
                .lists
                .for_each_mut(&mut |task| count += usize::from(task.needs_pending()));
            state.waits_for_room = count > 0;
            count
        };
        let request = self.clone();
        let wait = async move { request.set_pending(limit.acquire_many(count).await) };
        (count > 0).then(|| wait.boxed())
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
