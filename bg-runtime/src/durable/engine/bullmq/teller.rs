//! Tells other processes of the ends that BullMQ has recorded: scripts of ours tell of the others themselves.

use std::convert::Infallible;

use tokio::sync::mpsc;

use super::Common;
use crate::durable::engine::told::ended_line;
use crate::task::TaskId;

/// How many are told at once.
const AT_ONCE: usize = 200;

pub(super) async fn keep_telling(
    shared: &Common,
    told: &mut mpsc::UnboundedReceiver<TaskId>,
) -> Infallible {
    let mut tasks = Vec::with_capacity(AT_ONCE);
    loop {
        if told.recv_many(&mut tasks, AT_ONCE).await == 0 {
            return std::future::pending().await;
        }
        tell(shared, &mut tasks).await;
    }
}

/// Tells of those that nobody was told of when the worker ended.
pub(super) async fn tell_rest(shared: &Common, told: &mut mpsc::UnboundedReceiver<TaskId>) {
    let mut tasks: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    if !tasks.is_empty() {
        tell(shared, &mut tasks).await;
    }
}

async fn tell(shared: &Common, tasks: &mut Vec<TaskId>) {
    let lines: Vec<_> = tasks.drain(..).map(ended_line).collect();
    let mut publish = ::redis::cmd("PUBLISH");
    publish
        .arg(shared.channel(super::TOLD))
        .arg(lines.join("\n"));
    // Whoever does not hear of it looks himself.
    let _: Result<u64, _> = shared.link.command(&publish).await;
}
