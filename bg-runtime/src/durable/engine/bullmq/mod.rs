//! Tasks in Redis, kept by BullMQ. Its keys are as any client of BullMQ, of any language, knows them; what is ours stands
//! beside them, and begins with a `#`.
//!
//! ```text
//! put ──> store.lua ──> BullMQ's lists ──> crew: its Worker ──> run ──> the desk
//!                                                              │
//!            confirm <── a success, recorded by BullMQ ────────┤
//!            settle.lua <── everything else ───────────────────┘
//!         heart: what is still worked on     upkeep: what is lost, old, or unknown
//!         ear <── outcomes, progress, orders    teller ──> outcomes
//! ```

mod address;
mod advice;
mod confirm;
mod crew;
mod dead;
mod due;
mod ear;
mod failure;
mod fields;
mod heart;
mod link;
mod list;
mod order;
mod put;
mod run;
mod scripts;
mod teller;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod upkeep;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::BoxStream;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

pub(crate) use self::address::RedisAddress;
use self::confirm::Unconfirmed;
use self::crew::Crew;
use self::failure::store_error;
use self::fields::JobKey;
use self::heart::RedisHeart;
use self::link::Link;
use self::run::Runs;
use self::upkeep::Parked;
use super::beat::Beat;
use super::ears::Ears;
use super::room::Rooms;
use super::{Engine, Left, StoreEvent, StoreTransaction, Tally, told};
use crate::durable::error::{StartError, StoreError};
use crate::durable::query::{Found, Obeyed, Order, Query, Row};
use crate::durable::settings::StoreSettings;
use crate::durable::{Desk, Kept, Stored, StoredState, TaskStatus};
use crate::task::{Progress, TaskId};

/// Where is told what became of tasks.
const TOLD: &str = "#told";

/// Where workers are told what they are to do.
const ORDERS: &str = "#orders";

/// Jobs of BullMQ, claimed with its tokens.
type Held = super::held::Held<JobKey, String>;

struct BullMq {
    settings: StoreSettings,
    shared: Arc<Common>,
    is_checked: OnceCell<()>,
    /// Of this worker. New with each process.
    name: String,
}

/// What all parts know.
struct Common {
    address: RedisAddress,
    /// How all keys begin, without the `:` behind it.
    prefix: String,
    link: Link,
    /// How long an answer may take.
    limit: Duration,
    lease: Duration,
    held: Arc<Held>,
    unconfirmed: Unconfirmed,
    ears: Ears,
}

impl Common {
    fn channel(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }
}

impl BullMq {
    fn new(address: RedisAddress, settings: StoreSettings) -> Self {
        // Shorter than storing may take, so that what was not answered is known to be so.
        let limit = settings.store_timeout * 3 / 4;
        let shared = Common {
            prefix: address.prefix(&settings),
            link: Link::new(address.clone(), limit),
            address,
            limit,
            lease: settings.lease,
            held: Arc::default(),
            unconfirmed: Unconfirmed::default(),
            ears: Ears::default(),
        };
        Self {
            shared: Arc::new(shared),
            is_checked: OnceCell::new(),
            name: format!("bg:{:x}:{:x}", std::process::id(), fastrand::u64(..)),
            settings,
        }
    }

    /// Looks at the server, once.
    async fn check(&self) -> Result<(), StartError> {
        let store = self.shared.address.describe();
        let is_cluster = matches!(self.shared.address, RedisAddress::Cluster { .. });
        let check = async || {
            advice::check(&self.shared.link, is_cluster, &self.shared.prefix, &store).await
        };
        self.is_checked.get_or_try_init(check).await.map(drop)
    }

    async fn work_until(&self, desk: Arc<Desk>, stop: CancellationToken) -> Result<(), StoreError> {
        if desk.queues.is_empty() || desk.names.is_empty() {
            stop.cancelled().await;
            return Ok(());
        }
        let shared = &self.shared;
        let heart = RedisHeart {
            link: Link::new(shared.address.clone(), shared.limit),
            shared: shared.clone(),
            name: self.name.clone(),
        };
        let _beat = Beat::start(shared.lease, heart).map_err(StoreError::refused)?;
        let (ended, mut told) = mpsc::unbounded_channel();
        let runs = Arc::new(Runs {
            shared: shared.clone(),
            rooms: Rooms::new(&desk.queues),
            desk,
            ended,
            parked: Parked::default(),
        });
        let queues = runs.desk.queues.iter();
        let crews = queues.map(|(queue, at_once)| Crew {
            runs: runs.clone(),
            queue: Arc::from(&**queue),
            at_once: *at_once,
            name: self.name.clone(),
        });
        let crews: Vec<_> = crews.collect();
        tokio::select! {
            _ = join_all(crews.iter().map(|crew| crew.work(&stop))) => {}
            never = upkeep::keep_up(&runs, &self.settings) => match never {},
            never = upkeep::hear(&runs) => match never {},
            never = confirm::keep_confirming(&runs) => match never {},
            never = teller::keep_telling(shared, &mut told) => match never {},
        }
        teller::tell_rest(shared, &mut told).await;
        Ok(())
    }

    async fn keep_progress(&self, task: TaskId, progress: &Progress) -> Result<(), StoreError> {
        let Some((job, token)) = self.shared.held.claim_of(task) else {
            return Ok(());
        };
        let kept = (progress.done(), progress.total(), progress.message());
        let kept = serde_json::to_string(&kept).map_err(StoreError::refused)?;
        let mut script = scripts::call(&self.shared.prefix, |scripts| &scripts.progress);
        script
            .arg(&*job.queue)
            .arg(&job.id)
            .arg(token)
            .arg(kept)
            .arg(told::progress_line(task, progress));
        let kept: Result<u64, _> = self.shared.link.run(&script).await;
        kept.map(drop)
            .map_err(|error| store_error(error, self.shared.limit))
    }

    async fn pause(&self, queue: &str, is_paused: bool) -> Result<(), StoreError> {
        let options = ::bullmq::QueueOptions::new()
            .connection(self.shared.address.options())
            .prefix(&self.shared.prefix);
        let explained = |error| match error {
            ::bullmq::Error::Redis(error) => store_error(error, self.shared.limit),
            error => StoreError::refused(error),
        };
        let queue = ::bullmq::Queue::with_options(queue, options)
            .await
            .map_err(explained)?;
        let set = match is_paused {
            true => queue.pause().await,
            false => queue.resume().await,
        };
        set.map_err(explained)
    }
}

impl Engine for BullMq {
    fn describe(&self) -> String {
        self.shared.address.describe()
    }

    fn start(&self) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(self.check())
    }

    fn store(&self, batch: Arc<[Stored]>) -> BoxFuture<'_, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move { put::store(&self.shared, &batch).await })
    }

    fn store_in<'a>(
        &'a self,
        _: StoreTransaction<'a>,
        _: Arc<[Stored]>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        let error = StoreError::NoTransactions {
            store: self.describe(),
            why: "Redis has none that a database could be a part of".to_owned(),
        };
        Box::pin(std::future::ready(Err(error)))
    }

    fn work(
        &self,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.work_until(desk, stop))
    }

    fn list(
        &self,
        query: Query,
        after: Option<Row>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Found, StoreError>> {
        Box::pin(async move { list::list(&self.shared, &query, after, limit).await })
    }

    fn counts(&self, query: Query) -> BoxFuture<'_, Result<Vec<(StoredState, u64)>, StoreError>> {
        Box::pin(async move { list::counts(&self.shared, &query).await })
    }

    fn order(&self, task: TaskId, order: Order) -> BoxFuture<'_, Result<Obeyed, StoreError>> {
        Box::pin(async move { order::one(&self.shared, task, order).await })
    }

    fn order_all(&self, query: Query, order: Order) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { order::all(&self.shared, &query, order).await })
    }

    fn set_progress(
        &self,
        task: TaskId,
        progress: Progress,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.keep_progress(task, &progress).await })
    }

    fn events(&self) -> BoxFuture<'_, Result<BoxStream<'static, StoreEvent>, StoreError>> {
        Box::pin(ear::listen(&self.shared))
    }

    fn postpone(
        &self,
        tasks: Vec<TaskId>,
        due: SystemTime,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { due::postpone(&self.shared, &tasks, due).await })
    }

    fn release(&self, tasks: Vec<TaskId>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { due::release(&self.shared, &tasks).await })
    }

    fn claim_dead(
        &self,
        limit: u32,
        again_after: Duration,
    ) -> BoxFuture<'_, Result<Vec<TaskStatus>, StoreError>> {
        Box::pin(async move { dead::claim(&self.shared, limit, again_after).await })
    }

    fn note_told(&self, tasks: Vec<TaskId>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { dead::note_told(&self.shared, &tasks).await })
    }

    fn tallies(&self) -> BoxFuture<'_, Result<Vec<Tally>, StoreError>> {
        Box::pin(list::tallies(&self.shared))
    }

    fn unknown_names(
        &self,
        known: &'static [&'static str],
    ) -> BoxFuture<'_, Result<Vec<(String, u64)>, StoreError>> {
        Box::pin(list::unknown_names(&self.shared, known))
    }

    fn left(&self, silent_for: Duration) -> BoxFuture<'_, Result<Vec<Left>, StoreError>> {
        Box::pin(list::left(&self.shared, silent_for))
    }

    fn set_paused(&self, queue: String, paused: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.pause(&queue, paused).await })
    }

    fn oldest(&self) -> BoxFuture<'_, Result<Vec<(String, Duration)>, StoreError>> {
        Box::pin(list::oldest(&self.shared))
    }
}
