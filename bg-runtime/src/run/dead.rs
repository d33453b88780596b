//! Telling of the dead: each stored task that ends as dead is told of at least once, whichever process it died in, and
//! also if its worker was killed. One of the workers that have a hook claims the telling; if it dies meanwhile, another
//! tells.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::contain::{Panicked, contain};
use crate::durable::{Ends, OpenStore, TaskStatus};
use crate::log_target::RUNTIME;
use crate::one_line::OneLine;

/// How often it is looked for the dead of whom no event told.
const LOOK: Duration = Duration::from_secs(10);

/// How long after one look the next one is, however many tasks end.
const PAUSE: Duration = Duration::from_millis(200);

/// How many are told of at once.
const BATCH: u32 = 100;

/// How long a hook may take before another process tells of the same tasks.
const TELLING: Duration = Duration::from_secs(60);

/// What is told of a dead task.
pub(crate) type DeadHook = Box<dyn Fn(TaskStatus) -> BoxFuture<'static, ()> + Send + Sync>;

/// Tells the hook of each dead task, until it is told to stop.
pub(super) async fn tell(store: Arc<OpenStore>, hook: Arc<DeadHook>, stop: CancellationToken) {
    let mut ends = Ends::of(store.clone()).await;
    loop {
        let dead = store.ask(store.engine().claim_dead(BATCH, TELLING)).await;
        let dead = dead.unwrap_or_default();
        let is_full = dead.len() == BATCH as usize;
        if !dead.is_empty() {
            let ids = dead.iter().map(|task| task.id).collect();
            for mut task in dead {
                task.redact();
                tell_of(&hook, task).await;
            }
            // If this fails, they are told of again.
            let _ = store.ask(store.engine().note_told(ids)).await;
        }
        if stop.is_cancelled() {
            return;
        }
        if is_full {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = ends.wait(LOOK, |_| true) => {
                tokio::time::sleep(PAUSE).await;
                ends.forget();
            }
        }
    }
}

async fn tell_of(hook: &DeadHook, task: TaskStatus) {
    let (id, name) = (task.id, task.name.clone());
    let told = match contain(|| hook(task)) {
        Ok(telling) => {
            let telling = std::panic::AssertUnwindSafe(telling).catch_unwind();
            telling.await.map_err(Panicked::new)
        }
        Err(panic) => Err(panic),
    };
    if let Err(panic) = told {
        tracing::error!(
            target: RUNTIME,
            {
                task.name = %OneLine(name),
                task.id = %id,
                panic = %OneLine(panic),
            },
            "`on_dead` panicked"
        );
    }
}
