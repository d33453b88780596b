//! Holding a response back until there is room for its tasks (`Overflow::Wait`).

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Response;

use super::answer::Answer;
use super::request::RequestTasks;
use crate::run::Seat;

impl RequestTasks {
    /// The wait for room for the tasks of this response, where it has to wait.
    pub(super) fn wait_for_room<B>(
        self: &Arc<Self>,
        response: &mut Response<B>,
    ) -> Option<BoxFuture<'static, ()>> {
        let room = self.runner().limits().room_to_wait_for()?.clone();
        self.pick_up(response);
        if self.state().handler_runs_on() {
            // Not the handler's response. That one concludes by itself, and holds nothing back.
            return None;
        }
        self.skip_what_is_not_due(Answer::Status(response.status()));
        let count = {
            let state = &mut *self.state();
            let mut count = 0;
            state
                .lists
                .for_each_mut(&mut |task| count += usize::from(!task.has_seat()));
            state.waits_for_room = count > 0;
            count
        };
        let request = self.clone();
        (count > 0).then(|| async move { request.take_seats(room.wait_for(count).await) }.boxed())
    }

    fn take_seats(&self, seats: Vec<Seat>) {
        let mut seats = seats.into_iter();
        let state = &mut *self.state();
        state.waits_for_room = false;
        state.lists.for_each_mut(&mut |task| {
            if task.has_seat() {
                return;
            }
            if let Some(seat) = seats.next() {
                task.take_seat(seat);
            }
        });
    }
}
