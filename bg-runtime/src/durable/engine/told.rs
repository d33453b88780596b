//! What processes tell each other of tasks: an event is a line.

use super::StoreEvent;
use crate::task::{Progress, TaskId};

/// How many bytes of a message are told.
const MESSAGE: usize = 1024;

pub(super) fn progress_line(task: TaskId, progress: &Progress) -> String {
    let mut message = progress.message();
    while message.len() > MESSAGE {
        let cut = message.char_indices().take_while(|(at, _)| *at < MESSAGE);
        message = &message[..cut.last().map_or(0, |(at, _)| at)];
    }
    let parts = (progress.done(), progress.total(), message);
    let parts = serde_json::to_string(&parts).unwrap_or_default();
    format!("p{task}{parts}")
}

#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) fn ended_line(task: TaskId) -> String {
    format!("e{task}")
}

pub(super) fn parse(line: &str) -> Option<StoreEvent> {
    const ID: usize = 36;
    let (kind, rest) = line.split_at_checked(1)?;
    let (task, rest) = rest.split_at_checked(ID)?;
    let task = task.parse().ok()?;
    match kind {
        "e" => Some(StoreEvent::Ended(task)),
        "p" => {
            let (done, total, message) = serde_json::from_str(rest).ok()?;
            let progress = Progress::new(done, total, message);
            Some(StoreEvent::Progress(task, progress))
        }
        _ => None,
    }
}
