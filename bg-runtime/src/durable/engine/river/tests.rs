//! What every engine has to keep, asked of River's in a file and, where `BG_TEST_POSTGRES` has a URL, in PostgreSQL.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::durable::{Claimed, RunFailure, Store, StoredState, TaskStatus, Unique, Verdict};
use crate::task::FailureKind;

mod claims;
mod lists;
mod orders;
mod scripts;
mod starts;
mod stores;
mod zombies;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database of one test.
enum Lab {
    #[cfg(feature = "sqlite")]
    File(std::path::PathBuf),
    #[cfg(feature = "postgres")]
    Schema { url: String, schema: String },
}

/// Makes a test of each database of a function that takes a [`Lab`].
macro_rules! on_each_database {
    ($($test:ident),+ $(,)?) => {
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let lab = $crate::durable::engine::river::tests::Lab::file();
                super::$test(&lab).await;
                lab.clear().await;
            })+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some(lab) = $crate::durable::engine::river::tests::Lab::schema() else { return };
                super::$test(&lab).await;
                lab.clear().await;
            })+
        }
    };
}

use on_each_database;

impl Lab {
    fn unique() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("bg_{:x}_{next}_{:x}", std::process::id(), fastrand::u32(..))
    }

    #[cfg(feature = "sqlite")]
    fn file() -> Self {
        let directory = std::env::temp_dir().join(Self::unique());
        std::fs::create_dir(&directory).unwrap();
        Self::File(directory.join("tasks.db"))
    }

    #[cfg(feature = "postgres")]
    fn schema() -> Option<Self> {
        let url = std::env::var("BG_TEST_POSTGRES").ok()?;
        let schema = Self::unique();
        Some(Self::Schema { url, schema })
    }

    fn store(&self) -> Store {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(path) => crate::durable::Sqlite::file(path),
            #[cfg(feature = "postgres")]
            Self::Schema { url, schema } => {
                let store = crate::durable::Postgres::url(url);
                store.schema(schema).connections(6)
            }
        }
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.engine_with(|store| store)
    }

    fn engine_with(&self, settings: impl FnOnce(Store) -> Store) -> Arc<dyn Engine> {
        settings(self.store()).open().engine().clone()
    }

    /// Runs SQL as somebody who knows nothing of the engine. `{}` is the schema, with its dot.
    async fn run(&self, sql: &str) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(path) => {
                let url = format!("sqlite://{}", path.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                let sql = sqlx::AssertSqlSafe(sql.replace("{}", ""));
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            #[cfg(feature = "postgres")]
            Self::Schema { url, schema } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let sql = sqlx::AssertSqlSafe(sql.replace("{}", &format!("{schema}.")));
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    /// The name of the worker that leads the others.
    async fn leader(&self) -> Option<String> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(path) => {
                let url = format!("sqlite://{}", path.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                let leader = sqlx::query_scalar("select leader_id from river_leader");
                leader.fetch_optional(&mut connection).await.unwrap()
            }
            #[cfg(feature = "postgres")]
            Self::Schema { url, schema } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let sql = format!("select leader_id from {schema}.river_leader");
                let leader = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
                leader.fetch_optional(&mut connection).await.unwrap()
            }
        }
    }

    #[cfg(feature = "sqlite")]
    fn path(&self) -> &std::path::Path {
        match self {
            Self::File(path) => path,
            #[cfg(feature = "postgres")]
            Self::Schema { .. } => panic!("it has no file"),
        }
    }

    #[allow(clippy::unused_async, reason = "a file alone is not waited for")]
    async fn clear(self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(path) => std::fs::remove_dir_all(path.parent().unwrap()).unwrap(),
            #[cfg(feature = "postgres")]
            Self::Schema { url, schema } => {
                let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
                let sql = format!("drop schema if exists {schema} cascade");
                let sql = sqlx::AssertSqlSafe(sql);
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn task(name: &'static str) -> Stored {
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

fn unique(value: &str, slots: u32) -> Option<Unique> {
    Some(Unique {
        value: value.to_owned(),
        slots,
        period: None,
    })
}

async fn store(engine: &Arc<dyn Engine>, tasks: &[Stored]) -> Vec<Kept> {
    engine.store(tasks.into()).await.unwrap()
}

async fn store_one(engine: &Arc<dyn Engine>, task: &Stored) -> TaskId {
    let kept = store(engine, std::slice::from_ref(task)).await;
    assert_eq!(kept, [Kept::Stored]);
    task.id
}

async fn status(engine: &Arc<dyn Engine>, id: TaskId) -> Option<TaskStatus> {
    let query = Query {
        id: Some(id),
        ..Query::default()
    };
    engine.list(query, None, 1).await.unwrap().tasks.pop()
}

/// Waits until a task is in a state.
async fn until(engine: &Arc<dyn Engine>, id: TaskId, state: StoredState) -> TaskStatus {
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

fn failed(text: &str, retry_in: Option<Duration>) -> Verdict {
    Verdict::Failed {
        failure: RunFailure::new(FailureKind::Error, text),
        retry_in,
    }
}

/// A task that a worker has claimed, and the test decides about.
struct Taken {
    claimed: Claimed,
    verdict: oneshot::Sender<Verdict>,
}

impl Taken {
    fn end(self, verdict: Verdict) -> Claimed {
        self.verdict.send(verdict).expect("the worker waits");
        self.claimed
    }
}

/// A worker whose desk is the test.
struct Crew {
    taken: mpsc::UnboundedReceiver<Taken>,
    stop: CancellationToken,
    work: JoinHandle<Result<(), StoreError>>,
}

impl Crew {
    fn start(engine: &Arc<dyn Engine>, names: &[&'static str]) -> Self {
        Self::of(engine, names, &[("default", 10)])
    }

    fn of(engine: &Arc<dyn Engine>, names: &[&'static str], queues: &[(&str, usize)]) -> Self {
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

    async fn take(&mut self) -> Taken {
        let taken = timeout(PATIENCE, self.taken.recv()).await;
        taken.expect("nothing was claimed in time").unwrap()
    }

    fn has_taken(&mut self) -> bool {
        !self.taken.is_empty()
    }

    /// Stops, and waits until everything is recorded.
    async fn stop(self) {
        self.stop.cancel();
        drop(self.taken);
        let ended = timeout(PATIENCE, self.work).await;
        ended.expect("it stops in time").unwrap().unwrap();
    }
}
