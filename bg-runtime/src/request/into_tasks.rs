use std::sync::Arc;

use super::after_response::capture;
use super::{BackgroundTasks, RequestTasks};
use crate::task::{BoxTask, Item, Task, TaskList};

/// Any number of tasks: one task, a [`BackgroundTasks`] list, or an `Option`, a `Vec` or an array
/// of these.
///
/// Accepted by `background = ..`, [`BackgroundTasks::add_task`], [`tasks!`](crate::tasks),
/// [`WithBackground`](crate::WithBackground) and [`after_response`](crate::after_response).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a background task",
    label = "not a background task",
    note = "put `#[background_task]` on the function, and pass the struct it makes, for example `SendEmail::new(..)` for `fn send_email`",
    note = "for one-off work, give the future a name: `named(\"mailer.ping\", async move {{ .. }})`"
)]
pub trait IntoTasks {
    #[doc(hidden)]
    fn into_tasks(self) -> Tasks;
}

/// The tasks of one [`IntoTasks`] value.
#[doc(hidden)]
#[expect(
    missing_debug_implementations,
    reason = "only this crate has values of it"
)]
pub struct Tasks(Kind);

enum Kind {
    Item(Item<BoxTask>),
    /// As a handle, because tasks may be added to the list after it has been attached.
    List(BackgroundTasks),
}

impl Tasks {
    /// Returns the tasks as one item of `list`; `None` if there are none. Tasks that are added to their
    /// own list later go to `list` as well.
    pub(super) fn into_item_of(self, list: &BackgroundTasks) -> Option<Item<BoxTask>> {
        match self.0 {
            Kind::Item(item) => (!item.is_empty()).then_some(item),
            Kind::List(own) => own.hand_over(list),
        }
    }

    /// Returns the request whose own list this is; `None` if it is not a request's.
    pub(super) fn request(&self) -> Option<&Arc<RequestTasks>> {
        match &self.0 {
            Kind::Item(_) => None,
            Kind::List(list) => list.request(),
        }
    }

    fn item(item: Item<BoxTask>) -> Self {
        Self(Kind::Item(item))
    }

    /// Captures what surrounds the code that adds the task, wherever it is added.
    fn one(mut task: BoxTask) -> Self {
        capture(&mut task);
        Self::item(Item::Task(task))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Task + Send> IntoTasks for T {
    fn into_tasks(self) -> Tasks {
        Tasks::one(BoxTask::declared(self))
    }
}

#[diagnostic::do_not_recommend]
impl IntoTasks for BoxTask {
    fn into_tasks(self) -> Tasks {
        Tasks::one(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoTasks for BackgroundTasks {
    fn into_tasks(self) -> Tasks {
        Tasks(Kind::List(self))
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoTasks> IntoTasks for Option<T> {
    fn into_tasks(self) -> Tasks {
        self.map_or_else(
            || Tasks::item(Item::List(TaskList::default())),
            IntoTasks::into_tasks,
        )
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoTasks> IntoTasks for Vec<T> {
    fn into_tasks(self) -> Tasks {
        collect(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoTasks, const N: usize> IntoTasks for [T; N] {
    fn into_tasks(self) -> Tasks {
        collect(self)
    }
}

fn collect(tasks: impl IntoIterator<Item = impl IntoTasks>) -> Tasks {
    let mut tasks = tasks.into_iter().map(IntoTasks::into_tasks);
    let mut list = TaskList::default();
    while let Some(next) = tasks.next() {
        match next.0 {
            Kind::Item(item) => list.push(item),
            // Tasks may be added to this list later, so it goes into one that can take them.
            Kind::List(_) => {
                let list = BackgroundTasks::of(list);
                list.add_tasks(next);
                tasks.for_each(|tasks| list.add_tasks(tasks));
                return Tasks(Kind::List(list));
            }
        }
    }
    Tasks::item(Item::List(list))
}
