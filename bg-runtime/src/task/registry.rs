//! What was declared anywhere in the program, collected by the linker.

use super::{TaskDef, TaskInfo};

inventory::collect!(&'static TaskDef);

/// Every registered task, sorted by name; the linker's own order is arbitrary.
pub(crate) fn declared_tasks() -> Vec<TaskInfo> {
    let mut tasks: Vec<TaskInfo> = inventory::iter::<&'static TaskDef>
        .into_iter()
        .map(|def| TaskInfo::declared(def))
        .collect();
    tasks.sort_by_key(|task| (task.name(), task.file(), task.line()));
    tasks
}

/// Makes a hand-written [`Task`](crate::Task) as good as one made by the attribute.
///
/// It then appears in [`Background::tasks`](crate::Background::tasks), has its name and its states
/// checked by [`BackgroundBuilder::build`](crate::BackgroundBuilder::build), and can be part of a
/// response. See [`Task`](crate::Task) for an example.
#[macro_export]
macro_rules! register {
    ($task:ty) => {
        $crate::__private::response_part!($task);
        $crate::__private::inventory::submit! { <$task as $crate::Task>::DEF }
    };
}
