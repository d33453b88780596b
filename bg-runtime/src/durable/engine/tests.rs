//! What every engine has to keep, asked of River's in a file and, where `BG_TEST_POSTGRES` has a URL, in PostgreSQL, and
//! of BullMQ's where `BG_TEST_REDIS` has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::durable::query::{Obeyed, Order, Query};
use crate::durable::{Claimed, RunFailure, Store, StoredState, TaskStatus, Unique, Verdict};
use crate::sync::Mutex;
use crate::task::FailureKind;

mod claims;
mod lab;
mod lists;
mod orders;
mod scripts;
mod stores;
pub(super) mod zombies;

pub(super) use self::lab::Lab;

/// How long anything may take that is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a test of each database of a function that takes a [`Lab`].
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! on_each_database {
    ($($test:ident),+ $(,)?) => {
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let lab = $crate::durable::engine::tests::Lab::file();
                super::$test(&lab).await;
                lab.clear().await;
            })+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some(lab) = $crate::durable::engine::tests::Lab::schema() else { return };
                super::$test(&lab).await;
                lab.clear().await;
            })+
        }
    };
}

/// Makes a test of each store of a function that takes a [`Lab`].
macro_rules! on_each_store {
    ($($test:ident),+ $(,)?) => {
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        $crate::durable::engine::tests::on_each_database!($($test),+);

        #[cfg(feature = "redis")]
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some(lab) = $crate::durable::engine::tests::Lab::keys() else { return };
                super::$test(&lab).await;
                lab.clear().await;
            })+
        }
    };
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use on_each_database;
use on_each_store;

pub(super) fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

pub(super) fn task(name: &'static str) -> Stored {
    Stored {
        id: TaskId::next_stored(),
        name,
        arguments: json(r#"{"to":"ada"}"#),
        envelope: json(r#"{"timeout_ms":5}"#),
        runs: 1,
        due: None,
        queue: "default".into(),
        priority: 1,
        unique: None,
        key: None,
    }
}

pub(super) fn unique(value: &str, slots: u32) -> Option<Unique> {
    Some(Unique {
        value: value.to_owned(),
        slots,
        period: None,
    })
}

pub(super) async fn store(engine: &Arc<dyn Engine>, tasks: &[Stored]) -> Vec<Kept> {
    engine.store(tasks.into()).await.unwrap()
}

pub(super) async fn store_one(engine: &Arc<dyn Engine>, task: &Stored) -> TaskId {
    let kept = store(engine, std::slice::from_ref(task)).await;
    assert_eq!(kept, [Kept::Stored]);
    task.id
}

pub(super) async fn status(engine: &Arc<dyn Engine>, id: TaskId) -> Option<TaskStatus> {
    let query = Query {
        id: Some(id),
        ..Query::default()
    };
    engine.list(query, None, 1).await.unwrap().tasks.pop()
}

/// Waits until a task is in a state.
pub(super) async fn until(engine: &Arc<dyn Engine>, id: TaskId, state: StoredState) -> TaskStatus {
    let seen = timeout(PATIENCE, async {
        loop {
            match status(engine, id).await {
                Some(status) if status.state == state => return status,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    match seen.await {
        Ok(status) => status,
        Err(_) => panic!("not {state}: {:?}", status(engine, id).await),
    }
}

pub(super) fn failed(text: &str, retry_in: Option<Duration>) -> Verdict {
    Verdict::Failed {
        failure: RunFailure::new(FailureKind::Error, text),
        retry_in,
    }
}

/// A task that a worker has claimed, and the test decides about.
pub(super) struct Taken {
    pub(in crate::durable::engine) claimed: Claimed,
    verdict: oneshot::Sender<Verdict>,
}

impl Taken {
    pub(in crate::durable::engine) fn end(self, verdict: Verdict) -> Claimed {
        self.verdict.send(verdict).expect("the worker waits");
        self.claimed
    }
}

/// A worker whose desk is the test.
pub(super) struct Crew {
    pub(in crate::durable::engine) taken: mpsc::UnboundedReceiver<Taken>,
    pub(in crate::durable::engine) stop: CancellationToken,
    pub(in crate::durable::engine) work: JoinHandle<Result<(), StoreError>>,
}

impl Crew {
    pub(in crate::durable::engine) fn start(
        engine: &Arc<dyn Engine>,
        names: &[&'static str],
    ) -> Self {
        Self::of(engine, names, &[("default", 10)])
    }

    pub(in crate::durable::engine) fn of(
        engine: &Arc<dyn Engine>,
        names: &[&'static str],
        queues: &[(&str, usize)],
    ) -> Self {
        let (give, taken) = mpsc::unbounded_channel();
        let queues = queues
            .iter()
            .map(|(queue, at_once)| ((*queue).to_owned(), *at_once));
        let desk = Desk::new(names.to_vec().leak(), queues.collect(), move |claimed| {
            let (verdict, decided) = oneshot::channel();
            // A test that has ended takes none.
            let _ = give.send(Taken { claimed, verdict });
            async move {
                let decided = decided.await;
                decided.unwrap_or(Verdict::Returned {
                    wait: Duration::ZERO,
                })
            }
            .boxed()
        });
        let stop = CancellationToken::new();
        let (engine, ended) = (engine.clone(), stop.clone());
        let work = tokio::spawn(async move { engine.work(Arc::new(desk), ended).await });
        Self { taken, stop, work }
    }

    pub(in crate::durable::engine) async fn take(&mut self) -> Taken {
        let taken = timeout(PATIENCE, self.taken.recv()).await;
        taken.expect("nothing was claimed in time").unwrap()
    }

    pub(in crate::durable::engine) fn has_taken(&mut self) -> bool {
        !self.taken.is_empty()
    }

    /// Stops, and waits until everything is recorded.
    pub(in crate::durable::engine) async fn stop(self) {
        self.stop.cancel();
        drop(self.taken);
        let ended = timeout(PATIENCE, self.work).await;
        ended.expect("it stops in time").unwrap().unwrap();
    }
}
