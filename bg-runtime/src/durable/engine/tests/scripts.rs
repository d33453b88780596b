//! Scripts of what happens to tasks: [`Memory`] keeps the rules in each of them, and every other store
//! makes of one what `Memory` does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::durable::Memory;

/// More would lose their worker too often.
const MOST_CRASHES: usize = 2;

/// Long, because a worker of these tests is lost only where the script says so.
const LEASE: Duration = Duration::from_secs(3);

/// Longer than any script takes.
const HOUR: Duration = Duration::from_secs(3600);

/// The first number says which of the tasks that were stored is meant.
#[derive(Debug, Clone, Copy)]
enum ScriptLine {
    Store {
        runs: u32,
        is_later: bool,
    },
    End(usize, End),
    Ask(usize, Order),
    /// Every worker is gone, with all that it has claimed.
    Crash,
}

/// How a run ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Completes,
    Fails,
    /// And runs again in an hour.
    FailsForLong,
    GoesBack,
    IsCancelled,
}

fn line() -> impl Strategy<Value = ScriptLine> {
    let end = prop_oneof![
        2 => Just(End::Completes),
        4 => Just(End::Fails),
        2 => Just(End::FailsForLong),
        2 => Just(End::GoesBack),
        1 => Just(End::IsCancelled),
    ];
    let order = prop_oneof![
        3 => Just(Order::Cancel),
        3 => Just(Order::Retry),
        1 => Just(Order::Delete),
    ];
    prop_oneof![
        4 => (1..4_u32, prop::bool::weighted(0.2))
            .prop_map(|(runs, is_later)| ScriptLine::Store { runs, is_later }),
        8 => (any::<usize>(), end).prop_map(|(task, end)| ScriptLine::End(task, end)),
        5 => (any::<usize>(), order).prop_map(|(task, order)| ScriptLine::Ask(task, order)),
        1 => Just(ScriptLine::Crash),
    ]
}

fn script() -> impl Strategy<Value = Vec<ScriptLine>> {
    prop::collection::vec(line(), 1..30)
}

/// Where a script is played.
#[derive(Clone, Copy)]
enum Venue<'a> {
    Memory(&'a Memory),
    Elsewhere(&'a Lab),
}

impl Venue<'_> {
    fn engine(self) -> Arc<dyn Engine> {
        let store = match self {
            Self::Memory(memory) => Store::from(memory.clone()),
            Self::Elsewhere(lab) => lab.store(),
        };
        store.lease(LEASE).open().engine().clone()
    }
}

/// Two workers that die together.
struct Team {
    crews: [Crew; 2],
    /// What ends with them. `None` where aborting their futures is all that there is to it.
    runtime: Option<Runtime>,
}

impl Team {
    fn start(venue: Venue<'_>) -> Self {
        let runtime = match venue {
            Venue::Memory(_) => None,
            Venue::Elsewhere(_) => {
                let mut builder = Builder::new_multi_thread();
                let runtime = builder.worker_threads(1).enable_all().build();
                Some(runtime.unwrap())
            }
        };
        let _entered = runtime.as_ref().map(Runtime::enter);
        let crews = [(); 2].map(|()| Crew::start(&venue.engine(), &["mail"]));
        Self { crews, runtime }
    }

    async fn take(&mut self) -> Taken {
        let [first, second] = &mut self.crews;
        tokio::select! {
            taken = first.take() => taken,
            taken = second.take() => taken,
        }
    }

    fn kill(self) {
        self.crews.iter().for_each(|crew| crew.work.abort());
        if let Some(runtime) = self.runtime {
            runtime.shutdown_background();
        }
    }

    async fn stop(self) {
        let [first, second] = self.crews;
        tokio::join!(first.stop(), second.stop());
        if let Some(runtime) = self.runtime {
            runtime.shutdown_background();
        }
    }
}

/// What was seen of each task, in order.
type Seen = Vec<Vec<String>>;

/// A script that is being played. A task whose fate is not what it has to be is waited for in vain.
struct Play<'a> {
    venue: Venue<'a>,
    engine: Arc<dyn Engine>,
    team: Team,
    tasks: Vec<TaskId>,
    seen: Seen,
    claims: Vec<u32>,
    live: BTreeMap<usize, Taken>,
    /// Those of `live` that were told that somebody has cancelled them.
    told: BTreeSet<usize>,
    /// Nobody hears the verdicts on these; but if they were dropped, a worker that is not quite dead would.
    dead: Vec<Taken>,
    crashes: usize,
}

impl<'a> Play<'a> {
    async fn of(venue: Venue<'a>, script: &[ScriptLine]) -> Seen {
        let engine = venue.engine();
        engine.start().await.unwrap();
        let leader = match venue {
            Venue::Memory(_) => None,
            // Never dies, so that nobody waits until its term is over.
            Venue::Elsewhere(_) => Some(Crew::of(&engine, &["mail"], &[("leads", 1)])),
        };
        let mut play = Self {
            venue,
            engine: venue.engine(),
            team: Team::start(venue),
            tasks: Vec::new(),
            seen: Vec::new(),
            claims: Vec::new(),
            live: BTreeMap::new(),
            told: BTreeSet::new(),
            dead: Vec::new(),
            crashes: 0,
        };
        for line in script {
            play.follow(*line).await;
        }
        let seen = play.end().await;
        if let Some(leader) = leader {
            leader.stop().await;
        }
        seen
    }

    async fn follow(&mut self, line: ScriptLine) {
        match line {
            ScriptLine::Store { runs, is_later } => self.store(runs, is_later).await,
            ScriptLine::End(task, end) if !self.tasks.is_empty() => {
                let task = task % self.tasks.len();
                if let Some(taken) = self.live.remove(&task) {
                    self.end_run(task, taken, end).await;
                }
            }
            ScriptLine::Ask(task, order) if !self.tasks.is_empty() => {
                self.ask(task % self.tasks.len(), order).await;
            }
            ScriptLine::Crash if self.crashes < MOST_CRASHES && !self.live.is_empty() => {
                self.crash().await;
            }
            ScriptLine::End(..) | ScriptLine::Ask(..) | ScriptLine::Crash => {}
        }
    }

    async fn store(&mut self, runs: u32, is_later: bool) {
        let stored = Stored {
            runs,
            due: is_later.then(|| crate::clock::now() + HOUR),
            ..task("mail")
        };
        store_one(&self.engine, &stored).await;
        self.tasks.push(stored.id);
        self.seen.push(Vec::new());
        self.claims.push(0);
        if !is_later {
            self.is_claimed(self.tasks.len() - 1).await;
        }
    }

    async fn end_run(&mut self, task: usize, taken: Taken, end: End) {
        let claimed = &taken.claimed;
        let has_another = claimed.failures + 1 < claimed.runs;
        let verdict = match end {
            End::Completes => Verdict::Completed,
            End::Fails => failed("no", has_another.then_some(Duration::ZERO)),
            End::FailsForLong => failed("no", has_another.then_some(HOUR)),
            End::GoesBack => Verdict::Returned {
                wait: Duration::ZERO,
            },
            End::IsCancelled => {
                Verdict::Cancelled(RunFailure::new(FailureKind::Aborted, "it has expired"))
            }
        };
        taken.end(verdict);
        let was_told = self.told.remove(&task);
        match end {
            End::Completes => self.is_in(task, StoredState::Completed).await,
            _ if was_told => self.is_in(task, StoredState::Cancelled).await,
            End::IsCancelled => self.is_in(task, StoredState::Cancelled).await,
            End::Fails | End::FailsForLong if !has_another => {
                self.is_in(task, StoredState::Dead).await;
            }
            End::FailsForLong => self.is_in(task, StoredState::Retrying).await,
            End::Fails | End::GoesBack => self.is_claimed(task).await,
        }
    }

    async fn ask(&mut self, task: usize, order: Order) {
        let obeyed = self.engine.order(self.tasks[task], order).await.unwrap();
        self.seen[task].push(format!("{order:?}: {obeyed:?}"));
        match (order, obeyed) {
            (Order::Cancel, Obeyed::Told) => {
                let told = self.live[&task].claimed.stop.cancelled.clone();
                let told = timeout(PATIENCE, told.cancelled()).await;
                told.expect("its worker is told");
                self.told.insert(task);
            }
            (Order::Cancel, Obeyed::Done) => self.is_in(task, StoredState::Cancelled).await,
            (Order::Retry, Obeyed::Done) => self.is_claimed(task).await,
            _ => {}
        }
    }

    async fn crash(&mut self) {
        self.crashes += 1;
        let next = Team::start(self.venue);
        std::mem::replace(&mut self.team, next).kill();
        // As if their lease was over, which in memory costs no time.
        if let Venue::Elsewhere(lab) = self.venue {
            lab.age().await;
        }
        let lost = std::mem::take(&mut self.live);
        let told = std::mem::take(&mut self.told);
        let tasks: Vec<_> = lost.keys().copied().collect();
        self.dead.extend(lost.into_values());
        for task in tasks {
            match told.contains(&task) {
                true => self.is_in(task, StoredState::Cancelled).await,
                false => self.is_claimed(task).await,
            }
        }
    }

    /// Waits until a worker has the task.
    async fn is_claimed(&mut self, task: usize) {
        while !self.live.contains_key(&task) {
            let taken = self.team.take().await;
            let claimed = &taken.claimed;
            let of = self.tasks.iter().position(|id| *id == claimed.id);
            let of = of.expect("it was stored");
            self.claims[of] += 1;
            assert_eq!(claimed.attempt, self.claims[of], "the number of the run");
            assert!(claimed.failures < claimed.runs, "{claimed:?}");
            self.seen[of].push(format!(
                "claimed: run {}, {} failures, {} losses",
                claimed.attempt, claimed.failures, claimed.losses
            ));
            let other = self.live.insert(of, taken);
            assert!(other.is_none(), "two workers have it");
        }
    }

    async fn is_in(&mut self, task: usize, state: StoredState) {
        let _status = until(&self.engine, self.tasks[task], state).await;
    }

    /// Has every run end, and notes how each task is then.
    async fn end(mut self) -> Seen {
        while let Some((task, taken)) = self.live.pop_first() {
            self.end_run(task, taken, End::Completes).await;
        }
        for (id, seen) in self.tasks.iter().zip(&mut self.seen) {
            seen.push(match status(&self.engine, *id).await {
                None => "deleted".to_owned(),
                Some(status) => {
                    let errors = status.errors.iter();
                    let errors = errors.map(|error| (error.attempt, error.kind, &*error.error));
                    let errors: Vec<_> = errors.collect();
                    assert!(
                        status.state.is_final()
                            || [StoredState::Scheduled, StoredState::Retrying]
                                .contains(&status.state),
                        "{status:?}"
                    );
                    format!("{} after {}: {errors:?}", status.state, status.attempt)
                }
            });
        }
        self.team.stop().await;
        self.seen
    }
}

/// Plays a script in memory, where a clock that stands still makes hours of it.
fn in_memory(script: &[ScriptLine]) -> Seen {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    let memory = Memory::new();
    runtime.block_on(Play::of(Venue::Memory(&memory), script))
}

fn elsewhere(lab: Lab, script: &[ScriptLine]) -> Seen {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let seen = Play::of(Venue::Elsewhere(&lab), script).await;
        lab.clear().await;
        seen
    })
}

/// So many scripts, unless the environment says how many.
fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let is_asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_asked { default.cases } else { cases },
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        max_shrink_iters: 64,
        ..default
    }
}

on_each_store!(a_script_that_once_made_a_difference_makes_none);

/// P-DURABLE-44
async fn a_script_that_once_made_a_difference_makes_none(lab: &Lab) {
    let store = |runs| ScriptLine::Store {
        runs,
        is_later: false,
    };
    let script = [
        // What went back ended all the same.
        store(1),
        ScriptLine::Ask(0, Order::Cancel),
        ScriptLine::End(0, End::GoesBack),
        // The errors had other numbers than the runs.
        store(3),
        ScriptLine::End(1, End::GoesBack),
        ScriptLine::End(1, End::Fails),
        ScriptLine::End(1, End::GoesBack),
        ScriptLine::End(1, End::Fails),
        ScriptLine::End(1, End::Fails),
        // So did what had lost its worker.
        store(1),
        ScriptLine::Ask(2, Order::Cancel),
        ScriptLine::Crash,
        // What waited for its next run was forgiven its failures when it was told to run now.
        store(2),
        ScriptLine::End(3, End::FailsForLong),
        ScriptLine::Ask(3, Order::Retry),
        ScriptLine::End(3, End::Fails),
    ];
    let seen = Play::of(Venue::Elsewhere(lab), &script).await;
    assert!(
        seen[1].contains(
            &"dead after 5: [(2, Error, \"no\"), (4, Error, \"no\"), (5, Error, \"no\")]"
                .to_owned()
        ),
        "{seen:?}"
    );
    let expected = std::thread::spawn(move || in_memory(&script));
    assert_eq!(seen, expected.join().unwrap());
}

proptest! {
    #![proptest_config(cases(256))]

    /// P-DURABLE-44
    #[test]
    fn no_script_makes_memory_lose_a_task_or_give_it_to_two_workers(script in script()) {
        in_memory(&script);
    }
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(cases(4))]

    /// P-DURABLE-44
    #[test]
    fn a_file_makes_of_every_script_what_memory_does(script in script()) {
        let seen = elsewhere(Lab::file(), &script);
        prop_assert_eq!(seen, in_memory(&script));
    }
}

#[cfg(feature = "postgres")]
proptest! {
    #![proptest_config(cases(2))]

    /// P-DURABLE-44
    #[test]
    fn a_server_makes_of_every_script_what_memory_does(script in script()) {
        let Some(lab) = Lab::schema() else { return Ok(()) };
        let seen = elsewhere(lab, &script);
        prop_assert_eq!(seen, in_memory(&script));
    }
}

#[cfg(feature = "redis")]
proptest! {
    #![proptest_config(cases(4))]

    /// P-DURABLE-44
    #[test]
    fn redis_makes_of_every_script_what_memory_does(script in script()) {
        let Some(lab) = Lab::keys() else { return Ok(()) };
        let seen = elsewhere(lab, &script);
        prop_assert_eq!(seen, in_memory(&script));
    }
}
