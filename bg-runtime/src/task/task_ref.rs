use std::fmt;
use std::sync::Arc;

use super::{RequestInfo, TaskId, TaskInfo};

/// The task that a context, a failure, an event or an entry of the books is about.
#[derive(Debug, Clone)]
pub(crate) struct TaskRef {
    pub(crate) task: TaskInfo,
    pub(crate) id: TaskId,
    /// The request that queued the task; `None` if it was spawned.
    pub(crate) request: Option<Arc<RequestInfo>>,
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.task)?;
        match &self.request {
            Some(request) => write!(f, ", queued by {request}"),
            None => Ok(()),
        }
    }
}
