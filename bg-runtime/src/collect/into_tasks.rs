use std::sync::Arc;

use super::{BackgroundTasks, RequestTasks};
use crate::task::{List, Member, QueuedTask, Task};

/// Any number of tasks: one task, a [`BackgroundTasks`] list, or an `Option`, a `Vec` or an array
/// of these.
///
/// This is what `background = ..`, [`BackgroundTasks::add_task`], [`tasks!`](crate::tasks),
/// [`WithBackground`](crate::WithBackground) and [`after_response`](crate::after_response) take.
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
#[expect(missing_debug_implementations, reason = "never in a user's hands")]
pub struct Tasks(Kind);

enum Kind {
    Member(Member<QueuedTask>),
    /// As a handle, because tasks may be added to the list after it has been attached.
    List(BackgroundTasks),
}

impl Tasks {
    /// The tasks as one member of `list`, to which go also those that are added to theirs later.
    pub(super) fn into_member_of(self, list: &BackgroundTasks) -> Option<Member<QueuedTask>> {
        match self.0 {
            Kind::Member(member) => (!member.is_empty()).then_some(member),
            Kind::List(own) => own.hand_over(list),
        }
    }

    /// The request whose own list this is.
    pub(super) fn request(&self) -> Option<&Arc<RequestTasks>> {
        match &self.0 {
            Kind::Member(_) => None,
            Kind::List(list) => list.request(),
        }
    }

    fn member(member: Member<QueuedTask>) -> Self {
        Self(Kind::Member(member))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Task + Send> IntoTasks for T {
    fn into_tasks(self) -> Tasks {
        Tasks::member(Member::Task(QueuedTask::declared(self)))
    }
}

#[diagnostic::do_not_recommend]
impl IntoTasks for QueuedTask {
    fn into_tasks(self) -> Tasks {
        Tasks::member(Member::Task(self))
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
            || Tasks::member(Member::List(List::default())),
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
    let mut list = List::default();
    while let Some(next) = tasks.next() {
        match next.0 {
            Kind::Member(member) => list.push(member),
            // Which may be added to later.
            Kind::List(_) => {
                let list = BackgroundTasks::of(list);
                list.add_tasks(next);
                tasks.for_each(|tasks| list.add_tasks(tasks));
                return Tasks(Kind::List(list));
            }
        }
    }
    Tasks::member(Member::List(list))
}
