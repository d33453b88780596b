//! The tasks that one request has queued, and the phases that it goes through.
//!
//! ```text
//! Collecting ── respond ──> Responding ── body ended, last byte gone ──> Responded
//!      └── dropped without a response, or nothing is left to wait for ───────┘
//! ```
//!
//! The steps from one phase to the next are in [`end`](super::end).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use http::{Extensions, HeaderMap};
use tokio::time::Instant;

use super::detached::DetachedState;
use super::due::{RequestEnd, due};
#[cfg(feature = "durable")]
use super::outbox::{Outbox, due_or_skipped};
use super::place::HandlerRef;
use super::sent::{Connection, Delivery};
use super::{BackgroundTasks, IntoTasks};
use crate::run::{AcceptedTask, Runner};
use crate::scope::Scope;
use crate::sync::{Mutex, MutexGuard};
use crate::task::{BoxTask, Item, LazyInfo, RequestInfo, TaskList};

/// Which of a request's lists takes a task that comes before the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Route,
    Handler,
    Response,
}

/// The tasks of one request.
///
/// The number of `Arc`s has a meaning: while there is one besides that of the response's body, tasks
/// may still be added, and the response is watched until it has been sent; see
/// [`is_waited_for`](Self::is_waited_for). Handles, [`Scope`]s and the request's extensions hold such
/// `Arc`s. One that is kept for any other reason costs a wait, and should not outlive the handler.
pub(crate) struct RequestTasks {
    runner: Arc<Runner>,
    delivery: Delivery,
    begun: Instant,
    // None of the user's code runs under this lock, because it may add tasks: neither hooks, which
    // skipping a task calls, nor destructors of tasks.
    state: Mutex<RequestState>,
}

pub(super) struct RequestState {
    pub(super) info: LazyInfo,
    /// What became of the response.
    pub(super) transfer: Transfer,
    pub(super) phase: Phase,
    pub(super) lists: Lists,
    /// The handler's list came with the response as well, so its tasks run whatever the status.
    pub(super) handler_list_attached: bool,
    /// A handle was given out; it may add tasks while the body is sent.
    pub(super) handed_out: bool,
    /// The handler panicked: noted at once, by [`watch_panics`](RequestTasks::watch_panics).
    pub(super) panicked: bool,
    /// The response is held back until there is room for its tasks. A request that is dropped meanwhile
    /// ends with `NoRoom`.
    pub(super) waits_for_room: bool,
    /// The handler whose tasks are skipped, because nothing says which `Background` they belong to. Rare,
    /// so boxed.
    pub(super) unplaced: Option<Box<HandlerRef>>,
    /// Rare, so boxed.
    pub(super) detached: Option<Box<DetachedState>>,
    /// The response is not the handler's, whose durable tasks could not be stored: nothing came with it.
    #[cfg(feature = "durable")]
    pub(super) is_replaced: bool,
    /// The durable tasks. Rare, so boxed.
    #[cfg(feature = "durable")]
    pub(super) outbox: Option<Box<Outbox>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The handler runs, or its response waits for room. Tasks join the list of their [`Source`].
    Collecting,
    /// The end is known, and the response is being sent. Tasks join the list `late`; if the response is
    /// [not awaited](Delivery::is_awaited), they run at once.
    Responding(RequestEnd),
    /// The response has been sent, or needs no watching. Tasks run at once.
    Responded(RequestEnd),
}

/// How far a response has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Transfer {
    /// What the connection had written when the response was there.
    pub(super) written_before: Option<u64>,
    /// How many bytes of the body the server has taken.
    pub(super) bytes: u64,
    /// These are all that there are, and the server has not thrown them away.
    pub(super) is_whole: bool,
}

#[derive(Default)]
pub(super) struct Lists {
    pub(super) route: TaskList<AcceptedTask>,
    pub(super) handler: TaskList<AcceptedTask>,
    pub(super) response: TaskList<AcceptedTask>,
    /// Added while the body was being sent. Which of them are due is decided when they run.
    pub(super) late: TaskList<AcceptedTask>,
}

impl RequestState {
    /// Returns whether tasks wait for the response to be sent.
    pub(super) fn has_waiting(&self) -> bool {
        #[cfg(feature = "durable")]
        if self.outbox.as_ref().is_some_and(|outbox| outbox.holds()) {
            return true;
        }
        !self.lists.is_empty()
    }

    /// Returns whether the handler's list, and what else came with the response, runs whatever the status.
    pub(super) fn came_with_the_response(&self) -> (bool, bool) {
        #[cfg(feature = "durable")]
        if self.is_replaced {
            return (false, false);
        }
        (self.handler_list_attached, true)
    }

    /// Returns whether a detached handler still runs. A response that is already there is not
    /// the handler's, but that of a timeout, say.
    pub(super) fn handler_runs_on(&self) -> bool {
        self.detached
            .as_ref()
            .is_some_and(|detached| detached.runs())
    }
}

impl RequestTasks {
    pub(crate) fn new<B>(
        runner: Arc<Runner>,
        connection: Option<Arc<Connection>>,
        request: &http::Request<B>,
    ) -> Arc<Self> {
        let delivery = if runner.waits_for_sending() {
            Delivery::new(connection, request.version())
        } else {
            Delivery::NotAwaited
        };
        Arc::new(Self {
            runner,
            delivery,
            begun: Instant::now(),
            state: Mutex::new(RequestState {
                info: LazyInfo::of(request),
                transfer: Transfer::default(),
                phase: Phase::Collecting,
                lists: Lists::default(),
                handler_list_attached: false,
                handed_out: false,
                panicked: false,
                waits_for_room: false,
                unplaced: None,
                detached: None,
                #[cfg(feature = "durable")]
                is_replaced: false,
                #[cfg(feature = "durable")]
                outbox: None,
            }),
        })
    }

    /// Returns the tasks of the request with these extensions, if something further out collects them.
    pub(crate) fn of(extensions: &Extensions) -> Option<Arc<Self>> {
        extensions.get::<Arc<Self>>().cloned()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, RequestState> {
        self.state.lock()
    }

    pub(crate) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    pub(super) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// When the request arrived.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Returns the scope in which `after_response` finds this request.
    pub(crate) fn scope(self: &Arc<Self>) -> Scope {
        Scope::new(self.clone())
    }

    pub(crate) fn info(&self) -> Arc<RequestInfo> {
        self.state().info.get()
    }

    pub(crate) fn complete_info(&self, headers: &HeaderMap, extensions: &Extensions) {
        self.state().info.complete(headers, extensions);
    }

    pub(super) fn hand_out(&self) {
        self.state().handed_out = true;
    }

    pub(super) fn continue_on_error(&self) {
        self.state().lists.handler.continue_on_error = true;
    }

    /// Returns the number of tasks in the handler's list, and of those that came while the body was being
    /// sent.
    pub(super) fn handler_tasks(&self) -> usize {
        let state = self.state();
        let tasks = state.lists.handler.len() + state.lists.late.len();
        #[cfg(feature = "durable")]
        let tasks = tasks + state.handler_outbox();
        tasks
    }

    pub(super) fn attach_handler_list(&self) {
        self.state().handler_list_attached = true;
    }

    /// Adds `tasks` to one of the lists. If they are a list, tasks that are added to it later join the
    /// handler's.
    pub(crate) fn add_all(self: &Arc<Self>, source: Source, tasks: impl IntoTasks) {
        let list = BackgroundTasks::of_request(self.clone());
        if let Some(item) = tasks.into_tasks().into_item_of(&list) {
            self.add(source, item);
        }
    }

    /// Accepts tasks. They run once the response has been sent; at once if it has been.
    pub(crate) fn add(self: &Arc<Self>, source: Source, tasks: Item<BoxTask>) {
        let (info, unplaced) = {
            let state = &mut *self.state();
            (state.info.get(), state.unplaced.as_deref().copied())
        };
        if let Some(handler) = unplaced {
            return self.skip_unplaced(handler, &info, tasks);
        }
        #[cfg(feature = "durable")]
        let Some(tasks) = self.add_durable(source, tasks, &info) else {
            return;
        };
        // Before the lock: accepting a task formats its key, and calls hooks if it is refused.
        let mut has_independent = false;
        let Some(accepted) = tasks.filter_map(&mut |task| {
            let is_independent = task.options().independent;
            has_independent |= is_independent;
            match self.runner.accept(task, Some(info.clone())) {
                Ok(accepted) => Some(Item::Task(accepted)),
                // No list stops at it, as it would be in none.
                Err(_) if is_independent => None,
                Err(not_accepted) => not_accepted.gap(),
            }
        }) else {
            return;
        };

        let (mut list, mut is_late) = (TaskList::default(), false);
        list.has_independent = has_independent;
        let end = {
            let state = &mut *self.state();
            match state.phase {
                Phase::Collecting => {
                    let list = match source {
                        Source::Route => &mut state.lists.route,
                        Source::Handler => &mut state.lists.handler,
                        Source::Response => &mut state.lists.response,
                    };
                    list.has_independent |= has_independent;
                    return match source {
                        // These two always stop at a failure, so a list inside them that does the
                        // same can be merged into them.
                        Source::Route | Source::Response => list.push_flat(accepted),
                        Source::Handler => list.push(accepted),
                    };
                }
                Phase::Responding(_) if self.delivery.is_awaited() => {
                    state.lists.late.has_independent |= has_independent;
                    return state.lists.late.push(accepted);
                }
                Phase::Responding(end) => {
                    list.continue_on_error = state.lists.late.continue_on_error;
                    is_late = true;
                    end
                }
                Phase::Responded(end) => end,
            }
        };
        list.push(accepted);
        let list = due(list, end, true);
        if is_late {
            self.runner.run_late(self.scope(), list);
        } else {
            self.run([list]);
        }
    }

    /// Takes the durable tasks out of these, to be stored when the response is there, or at once if it has been.
    /// Returns the others, if there are any.
    #[cfg(feature = "durable")]
    fn add_durable(
        self: &Arc<Self>,
        source: Source,
        tasks: Item<BoxTask>,
        info: &Arc<RequestInfo>,
    ) -> Option<Item<BoxTask>> {
        let mut durable = Vec::new();
        let others = tasks.filter_map(&mut |task| {
            if !self.runner.stores(&task) {
                return Some(Item::Task(task));
            }
            durable.push(self.runner.take_unstored(task, Some(info.clone())));
            None
        });
        if durable.is_empty() {
            return others;
        }
        let end = {
            let state = &mut *self.state();
            match state.phase {
                Phase::Collecting => {
                    state.collect_unstored(source, durable);
                    None
                }
                Phase::Responding(end) | Phase::Responded(end) => Some((end, durable)),
            }
        };
        if let Some((end, durable)) = end {
            let due = durable.into_iter();
            let due = due
                .filter_map(|task| due_or_skipped(task, end, true))
                .collect();
            self.store_late(due);
        }
        others.filter(|others| !others.is_empty())
    }

    pub(super) fn run<const N: usize>(self: &Arc<Self>, lists: [TaskList<AcceptedTask>; N]) {
        if lists.iter().any(|list| !list.is_empty()) {
            self.runner.run(self.scope(), lists);
        }
    }

    /// Returns whether tasks wait for the response to be sent, or may still be added through another
    /// `Arc` of this. If not, the phase stays as it is, because nothing can see it.
    ///
    /// Called by the response's body when it, and then its bytes, are dropped (`sent/body.rs`). These
    /// hold one `Arc` between them, which is the one that is not counted here.
    pub(super) fn is_waited_for(self: &Arc<Self>) -> bool {
        if Arc::strong_count(self) > 1 {
            return true;
        }
        // Synchronises with the `Release` in the other handles' drops, as `Arc::get_mut` does.
        fence(Ordering::Acquire);
        self.state().has_waiting()
    }

    /// Spawns a future that waits for the response to be sent. Without a runtime the future is dropped,
    /// and the guards of the tasks settle them.
    pub(super) fn spawn_waiting<F>(self: &Arc<Self>, wait: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.runner.spawn_here(wait(self.clone()));
    }
}

impl fmt::Debug for RequestTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestTasks")
            .field("request", &self.info())
            .finish_non_exhaustive()
    }
}

impl Lists {
    pub(super) fn is_empty(&self) -> bool {
        [&self.route, &self.handler, &self.response, &self.late]
            .iter()
            .all(|list| list.is_empty())
    }

    pub(super) fn for_each_mut(&mut self, f: &mut impl FnMut(&mut AcceptedTask)) {
        let Self {
            route,
            handler,
            response,
            late,
        } = self;
        for list in [route, handler, response, late] {
            list.for_each_mut(f);
        }
    }
}
