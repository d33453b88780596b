use std::sync::Arc;

use super::{RequestInfo, TaskId, TaskInfo};

/// Which task it is about: what every record of a task that was accepted begins with.
#[derive(Debug, Clone)]
pub(crate) struct TaskRef {
    pub(crate) task: TaskInfo,
    pub(crate) id: TaskId,
    /// The request that queued the task; `None` if it was spawned.
    pub(crate) request: Option<Arc<RequestInfo>>,
}
