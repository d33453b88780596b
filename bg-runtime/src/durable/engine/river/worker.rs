//! Working: one client of River that claims, gives to the desk, and records.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use riverqueue::jiff::Timestamp;
use riverqueue::{
    Client, Job, JobCancelError, JobRow, MaintenanceConfig, QueueConfig, Retention, WorkContext,
    WorkError, WorkMiddleware, WorkNext, WorkOutcome, Worker, WorkerTimeout, Workers,
};
use tokio_util::sync::CancellationToken;

use super::Held;
use super::db::{COOLDOWN, Db, Pool};
use super::due;
use super::events::Teller;
use super::failure;
#[cfg(feature = "sqlite")]
use super::file_changes::FileChanges;
use super::kinds::Any;
use super::metadata::{Metadata, UNREADABLE, error_key, millis, returns_key, system_time};
use super::row::{Losses, RESCUED, cancelled};
use super::wake::Waker;
use crate::durable::engine::held::Run;
use crate::durable::engine::room::Rooms;
use crate::durable::error::StoreError;
use crate::durable::settings::StoreSettings;
use crate::durable::stored::StopOrder;
use crate::durable::{Claimed, Desk, Verdict};
use crate::log_target::RUNTIME;
use crate::task::BoxError;

/// How long River waits at most for what was told to stop: that is the desk's to decide.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What may wait so long for the next poll: notifications do not reach everybody.
const POLL: Duration = Duration::from_secs(1);

/// Runs what is claimed, for one client of River after the other.
#[derive(Clone)]
pub(super) struct Bench {
    desk: Arc<Desk>,
    held: Arc<Held>,
    pub(super) rooms: Arc<Rooms>,
}

/// The failure of a run after which there is another one.
#[derive(Debug)]
struct TryAgain {
    failure: String,
    wait: Duration,
}

impl fmt::Display for TryAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failure)
    }
}

impl std::error::Error for TryAgain {}

impl Worker<Any> for Bench {
    type Error = BoxError;

    fn next_retry(&self, _: &Job<Any>, error: &WorkError, _: Timestamp) -> Option<Duration> {
        if let Some(again) = error.downcast_ref::<TryAgain>() {
            return Some(again.wait);
        }
        // Who has lost its worker waits for nothing.
        (error.to_string() == RESCUED).then_some(Duration::ZERO)
    }

    /// River asks both when a task begins here, and when the leader wonders whether one that runs anywhere is stuck.
    /// The desk bounds those of this process, and of the others nothing but their heartbeat says whether they live.
    fn timeout(&self, job: &Job<Any>) -> WorkerTimeout {
        if self.held.has(&job.row.id) {
            WorkerTimeout::Disabled
        } else {
            WorkerTimeout::After(COOLDOWN)
        }
    }

    async fn work(&self, context: WorkContext, job: Job<Any>) -> Result<WorkOutcome, BoxError> {
        let (row, attempt) = (job.row.id, job.row.attempt);
        let mut run = self.held.run(&row, || self.begin(job)).await;
        let told = context.cancellation_token();
        let verdict = tokio::select! {
            verdict = &mut run.ended => verdict,
            () = told.cancelled() => {
                run.stop.cancelled.cancel();
                run.ended.await
            }
        };
        let go_back = |wait| {
            context.metadata_set(returns_key(attempt.into()), run.returns + 1)?;
            Ok(WorkOutcome::Snooze(wait))
        };
        match &*verdict {
            Verdict::Completed => Ok(WorkOutcome::Complete),
            // River says so itself, of what it has heard of.
            _ if run.stop.cancelled.is_cancelled() => Err(JobCancelError::new(cancelled()).into()),
            Verdict::Failed {
                failure,
                retry_in: Some(wait),
            } => {
                let (failure, wait) = (failure.to_string(), *wait);
                Err(TryAgain { failure, wait }.into())
            }
            Verdict::Failed {
                failure,
                retry_in: None,
            } => {
                // River writes a text of its own.
                context.metadata_set(error_key(attempt.into()), failure.to_string())?;
                Ok(WorkOutcome::Discard)
            }
            Verdict::Cancelled(failure) => Err(JobCancelError::new(failure.to_string()).into()),
            Verdict::Unreadable { failure, wait } => {
                let said = (millis(SystemTime::now()), failure.to_string());
                context.metadata_set(UNREADABLE, said)?;
                go_back(*wait)
            }
            Verdict::Returned { wait } => go_back(*wait),
        }
    }
}

impl Bench {
    pub(super) fn new(desk: Arc<Desk>, held: Arc<Held>) -> Self {
        Self {
            rooms: Arc::new(Rooms::new(&desk.queues)),
            desk,
            held,
        }
    }

    /// The names of the tasks that are run.
    #[cfg(feature = "postgres")]
    pub(super) fn names(&self) -> &'static [&'static str] {
        self.desk.names
    }

    fn begin(&self, job: Job<Any>) -> Run {
        let stop = StopOrder::default();
        let attempt = job.row.attempt;
        let claimed = claimed(job, stop.clone());
        let returns = i64::from(claimed.attempt) - i64::from(attempt);
        let desk = self.desk.clone();
        let seat = self.rooms.enter(&claimed.queue);
        // Asked on the first poll, not here: a lock is held.
        let run = async move {
            let _seat = seat.await;
            Arc::new(desk.run(claimed).await)
        };
        Run {
            ended: run.boxed().shared(),
            stop,
            returns,
        }
    }
}

fn claimed(job: Job<Any>, stop: StopOrder) -> Claimed {
    let row = job.row;
    let Metadata { bg, snoozes, .. } = Metadata::of_row(&row);
    let errors = row
        .errors
        .iter()
        .map(|error| (i64::from(error.attempt), &*error.error));
    let Losses { failures, losses } = Losses::of(errors, &bg);
    Claimed {
        id: bg.id,
        name: row.kind,
        arguments: job.args.0,
        envelope: bg.envelope,
        queue: row.queue,
        // A task that went back to the store gets the number of its attempt again, so they are counted as well.
        attempt: number(i64::from(row.attempt) + snoozes),
        failures,
        losses,
        runs: bg.runs,
        stored_at: system_time(row.created_at),
        stop,
    }
}

pub(super) fn number(attempt: i64) -> u32 {
    u32::try_from(attempt).unwrap_or(0)
}

/// Notes what is claimed here, before the worker is asked how long it may take.
struct Note {
    bench: Bench,
    client: u64,
}

impl WorkMiddleware for Note {
    async fn work(
        &self,
        _: &WorkContext,
        job: JobRow,
        next: WorkNext<'_>,
    ) -> Result<WorkOutcome, WorkError> {
        let task = Metadata::of_row(&job).bg.id;
        self.bench.rooms.stir(&job.queue);
        let _attempt = self.bench.held.claim(job.id, task, self.client);
        next.run(job).await
    }
}

pub(super) struct Working {
    /// Those of one process are numbered.
    number: u64,
    client: Client,
    pub(super) waker: Arc<Waker>,
    teller: Teller,
    lookout: Lookout,
    db: Arc<Db>,
    held: Arc<Held>,
    /// Those that are looked at here.
    queues: Vec<String>,
}

impl Working {
    pub(super) fn new(
        number: u64,
        db: &Arc<Db>,
        bench: &Bench,
        name: &str,
        settings: &StoreSettings,
    ) -> Result<Self, riverqueue::Error> {
        let (desk, held) = (&bench.desk, &bench.held);
        let mut workers = Workers::new();
        Any::named(desk.names, || {
            workers.add::<Any, _>(bench.clone()).map(drop)
        })?;
        let lease = settings.lease;
        let maintenance = MaintenanceConfig::default()
            .with_rescue_after(lease)
            .with_rescuer_interval((lease / 3).max(COOLDOWN))
            .with_scheduler_interval(Duration::from_secs(1))
            .with_completed_job_retention(Retention::DeleteAfter(settings.keep_completed))
            .with_cancelled_job_retention(Retention::DeleteAfter(settings.keep_completed))
            .with_discarded_job_retention(Retention::DeleteAfter(settings.keep_dead))
            // A queue stays paused however long nobody works.
            .with_queue_retention(FOR_EVER);
        let note = Note {
            bench: bench.clone(),
            client: number,
        };
        let mut client = db
            .worker()
            .id(name)
            .workers(workers)
            .work_middleware(note)
            .without_job_timeout()
            .fetch_only_known_kinds(true)
            .job_stuck_threshold(FOR_EVER)
            .maintenance(maintenance);
        for (queue, at_once) in &desk.queues {
            let at_once = (*at_once).clamp(1, riverqueue::QUEUE_NUM_WORKERS_MAX);
            let config = QueueConfig::new(at_once).with_fetch_poll_interval(POLL);
            client = client.queue(queue, config);
        }
        let client = client.build()?;
        let waker = Waker::new(client.clone(), POLL);
        Ok(Self {
            number,
            teller: Teller::new(db, held, &client)?,
            lookout: Lookout::of(db),
            db: db.clone(),
            held: held.clone(),
            queues: desk.queues.iter().map(|(name, _)| name.clone()).collect(),
            waker: Arc::new(waker),
            client,
        })
    }

    /// Claims until `relief` is cancelled, as it is if `shutdown` is, and returns when everything that ran is recorded.
    pub(super) async fn run(
        mut self,
        relief: CancellationToken,
        shutdown: CancellationToken,
    ) -> Result<(), StoreError> {
        loop {
            let mut run = self
                .client
                .start_with_graceful_stop(relief.clone().cancelled_owned())?;
            let (db, queues, waker) = (&self.db, &self.queues, &self.waker);
            let (held, number) = (&self.held, self.number);
            let lookout = &mut self.lookout;
            let look = relief.run_until_cancelled(async {
                tokio::join!(lookout.keep_waking(waker), due::keep_up(db, queues, waker))
            });
            let look = look.then(|_| std::future::pending::<()>());
            let ended = tokio::select! {
                ended = run.wait() => Some(ended),
                never = self.teller.tell() => match never {},
                () = look => None,
                () = held.nothing_left(|_, client| *client == number, &shutdown) => None,
            };
            self.teller.tell_the_rest().await;
            let Some(ended) = ended else {
                // Dropped, it would cancel what the answer brings.
                run.detach();
                tracing::warn!(
                    target: RUNTIME,
                    "a claim was not answered before the shutdown ended: if it took tasks, they run when their lease is \
                     over"
                );
                return Ok(());
            };
            let Err(error) = ended else { return Ok(()) };
            if relief.is_cancelled() {
                return Err(error.into());
            }
            tracing::warn!(
                target: RUNTIME,
                "the worker of the store has failed, and is started again: {}",
                failure::text(error),
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Sees that others have stored tasks, where they cannot say so.
enum Lookout {
    #[cfg(feature = "postgres")]
    Nothing,
    #[cfg(feature = "sqlite")]
    File(FileChanges),
}

impl Lookout {
    fn of(db: &Db) -> Self {
        match &db.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => Self::Nothing,
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => Self::File(FileChanges::of(pool)),
        }
    }

    async fn keep_waking(&mut self, waker: &Waker) -> Infallible {
        match self {
            #[cfg(feature = "postgres")]
            Self::Nothing => {
                let _ = waker;
                std::future::pending().await
            }
            #[cfg(feature = "sqlite")]
            Self::File(changes) => loop {
                changes.next().await;
                waker.wake_all();
            },
        }
    }
}
