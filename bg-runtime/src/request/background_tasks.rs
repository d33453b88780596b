use std::fmt;
use std::sync::Arc;

use super::after_response::{capture, current};
use super::into_tasks::{IntoTasks, Tasks};
use super::queue::{RequestTasks, Source};
use crate::run::{self, TaskHandle};
use crate::sync::Mutex;
use crate::task::{BoxTask, IntoTask, Item, SkipReason, TaskList};

/// A list of background tasks.
///
/// As an argument of a handler it is the request's own list: every copy taken in one request, by
/// the handler, by other extractors or by middleware, is the same list. It needs a route attribute
/// or [`Background::layer`](crate::Background::layer).
///
/// ```
/// use axum::Json;
/// use bg_runtime::{BackgroundTasks, background_task};
///
/// #[background_task]
/// async fn send_welcome(to: String) {
///     // ..
/// }
///
/// async fn sign_up(tasks: BackgroundTasks, Json(email): Json<String>) -> &'static str {
///     tasks.add_task(SendWelcome::new(&email));
///     "welcome"
/// }
/// ```
///
/// Made with [`new`](Self::new), [`concurrent`](Self::concurrent), [`tasks!`](crate::tasks) or from
/// an iterator, it is a list of its own, which does nothing until it is attached: to a route
/// (`background = list`), to the request (`tasks.add_task(list)`) or to a response (`(list,
/// Json(..))`). If it is dropped before that, its tasks are reported as skipped.
///
/// A list runs its tasks in the order they were added, one after the other, and stops at the first
/// that fails. Clones share the list.
#[derive(Clone)]
#[must_use = "the tasks do nothing until the list is attached to a route, a request or a response"]
pub struct BackgroundTasks(Target);

#[derive(Clone)]
enum Target {
    Own(Arc<OwnList>),
    Request(Arc<RequestTasks>),
}

/// A list that no request has taken yet.
struct OwnList(Mutex<OwnState>);

enum OwnState {
    Open {
        list: TaskList<BoxTask>,
        reason_when_dropped: SkipReason,
    },
    /// The tasks were handed over to another list, which also takes those that are added later.
    Moved(BackgroundTasks),
}

impl BackgroundTasks {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::of(TaskList::default())
    }

    /// Creates an empty list that runs its tasks at the same time, independently of each other: one
    /// that fails does not stop the others.
    ///
    /// As an item of another list it counts as one task, which ends when all of its tasks have
    /// ended, and fails if one of them has failed.
    pub fn concurrent() -> Self {
        Self::of(TaskList::concurrent())
    }

    /// Creates a list of these tasks that is not attached to anything.
    pub(super) fn of(list: TaskList<BoxTask>) -> Self {
        Self::own(list, SkipReason::NeverAttached)
    }

    fn own(list: TaskList<BoxTask>, reason_when_dropped: SkipReason) -> Self {
        Self(Target::Own(Arc::new(OwnList(Mutex::new(OwnState::Open {
            list,
            reason_when_dropped,
        })))))
    }

    pub(crate) fn of_request(request: Arc<RequestTasks>) -> Self {
        Self(Target::Request(request))
    }

    /// Creates the list of the tasks that come with one response, for its request to pick up.
    pub(super) fn of_response() -> Self {
        Self::own(TaskList::default(), SkipReason::ResponseNotPickedUp)
    }

    /// Adds a task, or all tasks of another list as one item.
    ///
    /// The tasks that the other list has by now keep its rules. Those that are added to it later join
    /// this list.
    ///
    /// On the list of a request, a task that is added while the response's body is being sent runs
    /// after it, and one that is added after that runs at once.
    pub fn add_task(&self, tasks: impl IntoTasks) {
        self.add_tasks(tasks.into_tasks());
    }

    /// Adds a task, and returns a handle to it: for one whose fate the handler, or a later request, asks for.
    ///
    /// The handle can be awaited, but not in the handler itself: the task runs after the response, which the
    /// handler would hold up for ever.
    ///
    /// The handle of a durable task resolves when the task is *stored* (`Ok`) or could not be
    /// ([`NotStored`](crate::FailureKind::NotStored)), not when it has run: `background.stored().get(id).outcome()`
    /// tells that. See [`TaskHandle`].
    ///
    /// ```
    /// use axum::Json;
    /// use bg_runtime::{BackgroundTasks, TaskId, background_task};
    ///
    /// #[background_task]
    /// async fn export(user: String) {
    ///     // ..
    /// }
    ///
    /// /// Returns the id by which the client asks how far the export is: see `Background::handle`.
    /// async fn start_export(tasks: BackgroundTasks, Json(user): Json<String>) -> Json<TaskId> {
    ///     Json(tasks.add_tracked(Export::new(&user)).id())
    /// }
    /// ```
    pub fn add_tracked(&self, task: impl IntoTask) -> TaskHandle {
        let mut task = task.into_task();
        capture(&mut task);
        let (handle, tracker) = TaskHandle::track(&task);
        task.options_mut().tracker = Some(tracker);
        self.add_item(Item::Task(task));
        handle
    }

    pub(super) fn add_tasks(&self, tasks: Tasks) {
        if let Some(item) = tasks.into_item_of(self) {
            self.add_item(item);
        }
    }

    pub(super) fn add_item(&self, item: Item<BoxTask>) {
        let mut target = self.resolve();
        loop {
            let own = match &target.0 {
                Target::Request(request) => return request.add(Source::Handler, item),
                Target::Own(own) => own,
            };
            // After the lock: a request accepts the task, which may call error hooks.
            let moved_to = match &mut *own.0.lock() {
                OwnState::Open { list, .. } => return list.push(item),
                OwnState::Moved(target) => target.clone(),
            };
            // Handed over since it was resolved.
            target = moved_to.resolve();
        }
    }

    /// Adds a task, and returns the list:
    /// `BackgroundTasks::concurrent().with_task(a).with_task(b)`.
    pub fn with_task(self, tasks: impl IntoTasks) -> Self {
        self.add_task(tasks);
        self
    }

    /// Makes the list go on after a task that failed.
    ///
    /// A list that is attached keeps the rule that it had then, unless it is a request's own.
    pub fn continue_on_error(self) -> Self {
        match &self.0 {
            Target::Request(request) => request.continue_on_error(),
            Target::Own(own) => {
                if let OwnState::Open { list, .. } = &mut *own.0.lock() {
                    list.continue_on_error = true;
                }
            }
        }
        self
    }

    /// Returns the number of tasks that the list holds, with those of the lists in it.
    ///
    /// Tasks that were handed over are not counted: 0 once the list has been attached. On the list of a
    /// request these are the tasks that were added to it and that wait for the response, by handlers,
    /// extractors and middleware, or with [`after_response`](crate::after_response): neither those of the
    /// route nor those that come with the response. 0 once they have been handed over to run.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Target::Request(request) => request.handler_tasks(),
            Target::Own(own) => match &*own.0.lock() {
                OwnState::Open { list, .. } => list.len(),
                OwnState::Moved(_) => 0,
            },
        }
    }

    /// Returns whether [`len`](Self::len) is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands the tasks over to another list, as one item. Tasks that are added from now on go there as
    /// well. A request's own tasks stay where they are.
    pub(super) fn hand_over(&self, to: &Self) -> Option<Item<BoxTask>> {
        // One at a time: two lists that are handed over to each other would make `resolve` run
        // forever. Locked before any list's own lock. Not needed if `to` is a request's own list, which is
        // never handed over.
        static HANDING_OVER: Mutex<()> = Mutex::new(());

        let Target::Own(own) = &self.0 else {
            return None;
        };
        let _turn = matches!(to.0, Target::Own(_)).then(|| HANDING_OVER.lock());
        let to = to.resolve();
        match &to.0 {
            Target::Own(other) if Arc::ptr_eq(own, other) => return None,
            // Another clone of this list may add to the request through `Moved`, so the response has to
            // be watched even if no task is there yet (`RequestTasks::respond`).
            Target::Request(request) if Arc::strong_count(own) > 1 => request.hand_out(),
            _ => {}
        }
        let mut state = own.0.lock();
        match std::mem::replace(&mut *state, OwnState::Moved(to)) {
            OwnState::Open { list, .. } if list.is_empty() => None,
            OwnState::Open { list, .. } => Some(Item::List(list)),
            moved @ OwnState::Moved(_) => {
                *state = moved;
                None
            }
        }
    }

    /// Follows `Moved` to the list that takes the tasks in the end. The lists on the way point there
    /// afterwards, so that a long way is gone once.
    fn resolve(&self) -> Self {
        let mut passed = Vec::new();
        let mut target = self.clone();
        while let Some(next) = target.moved_to() {
            passed.push(std::mem::replace(&mut target, next));
        }
        // The last one points there already.
        passed.pop();
        for Self(passed) in passed {
            if let Target::Own(own) = passed {
                own.point_to(target.clone());
            }
        }
        target
    }

    /// Returns where the tasks were handed over to; `None` if they were not.
    fn moved_to(&self) -> Option<Self> {
        let Target::Own(own) = &self.0 else {
            return None;
        };
        match &*own.0.lock() {
            OwnState::Open { .. } => None,
            OwnState::Moved(target) => Some(target.clone()),
        }
    }

    /// Returns the request whose own list this is; `None` if it is not a request's.
    pub(super) fn request(&self) -> Option<&Arc<RequestTasks>> {
        match &self.0 {
            Target::Request(request) => Some(request),
            Target::Own(_) => None,
        }
    }
}

impl OwnList {
    /// Shortens the way from a list whose tasks were handed over.
    fn point_to(&self, target: BackgroundTasks) {
        let replaced = match &mut *self.0.lock() {
            OwnState::Moved(nearer) => std::mem::replace(nearer, target),
            OwnState::Open { .. } => return,
        };
        // After the lock, because it may be the last handle to that list.
        drop(replaced);
    }

    /// Takes out what the list stands for, with its end reported if that falls to it. Returns the list
    /// that it pointed to.
    fn end(&mut self) -> Option<Arc<Self>> {
        let emptied = OwnState::Open {
            list: TaskList::default(),
            reason_when_dropped: SkipReason::NeverAttached,
        };
        match std::mem::replace(self.0.get_mut(), emptied) {
            OwnState::Open {
                list,
                reason_when_dropped,
            } => {
                report_skipped(list, reason_when_dropped);
                None
            }
            OwnState::Moved(BackgroundTasks(Target::Own(own))) => Some(own),
            OwnState::Moved(BackgroundTasks(Target::Request(_))) => None,
        }
    }
}

/// Drops the lists that this one points to in a loop, because the way may be long.
impl Drop for OwnList {
    fn drop(&mut self) {
        let mut next = self.end();
        while let Some(mut own) = next.and_then(Arc::into_inner) {
            next = own.end();
        }
    }
}

/// Accepts and settles tasks that will never run, so that they are counted and reported like any
/// other.
///
/// Outside a request this falls to the runner that [`run::place`] names, or to the global one if there are
/// several. The global one is created if there is none yet, so dropping a list can make a later
/// `Background::install_global` fail; that error says so.
fn report_skipped(list: TaskList<BoxTask>, reason: SkipReason) {
    if list.is_empty() {
        return;
    }
    let request = current();
    let runner = match &request {
        Some(request) => request.runner().clone(),
        None => run::place().unwrap_or_else(|run::Several| run::global()),
    };
    let info = request.map(|request| request.info());
    list.for_each(&mut |task| runner.skip(task, info.clone(), reason));
}

impl Default for BackgroundTasks {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: IntoTasks> FromIterator<T> for BackgroundTasks {
    fn from_iter<I: IntoIterator<Item = T>>(tasks: I) -> Self {
        let mut list = Self::new();
        list.extend(tasks);
        list
    }
}

impl<T: IntoTasks> Extend<T> for BackgroundTasks {
    fn extend<I: IntoIterator<Item = T>>(&mut self, tasks: I) {
        tasks.into_iter().for_each(|task| self.add_task(task));
    }
}

impl fmt::Debug for BackgroundTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Target::Own(_) => "own list",
            Target::Request(_) => "list of a request",
        };
        f.debug_tuple("BackgroundTasks").field(&kind).finish()
    }
}

/// Creates a [`BackgroundTasks`] list of these tasks, which may be of different types.
///
/// ```
/// # use bg_runtime::{background_task, tasks};
/// # #[background_task] async fn send_email(to: String) {}
/// # #[background_task] async fn log_event(event: String) {}
/// let list = tasks![SendEmail::new("admin@example.com"), LogEvent::new("registered")];
/// # drop(list);
/// ```
#[macro_export]
macro_rules! tasks {
    ($($task:expr),* $(,)?) => {{
        let tasks = $crate::BackgroundTasks::new();
        $(tasks.add_task($task);)*
        tasks
    }};
}
