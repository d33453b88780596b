//! Generated plans, with any tasks in any order and within any limits, and the rules that hold for
//! each of them.
//!
//! The rules are checked on what was observed, so they need not predict which task comes first. All
//! that is predicted is which tasks are refused.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use bg_runtime::{
    Background, BackgroundTasks, Backoff, BoxTask, FailureKind, IntoTask, Overflow, Stats, Task,
    TaskContext, TaskDef, TaskExt, TaskFailure, TaskHandle, TaskId, TaskResult,
};
use proptest::{
    collection::vec, option, prelude::*, sample::Index, test_runner::FileFailurePersistence,
};
use tests::tasks::{is_balanced, respond_with};
use tokio::time::Instant;

// The plans.

#[derive(Debug, Clone)]
struct Plan {
    max_concurrent: Option<usize>,
    max_pending: Option<usize>,
    drain_timeout: Duration,
    commands: Vec<Command>,
}

#[derive(Debug, Clone)]
enum Command {
    Respond(List),
    Spawn(Job),
    Abort(Index),
    Pass(Duration),
}

#[derive(Debug, Clone)]
struct List {
    rule: Rule,
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    StopOnError,
    ContinueOnError,
    Concurrent,
}

#[derive(Debug, Clone)]
enum Member {
    Job(Job),
    List(List),
}

#[derive(Debug, Clone)]
struct Job {
    /// The place in the plan.
    number: usize,
    kind: usize,
    key: u8,
    delay: Duration,
    takes: Duration,
    /// How each run ends; the last one also stands for all further runs.
    endings: Vec<Ending>,
    retries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Success,
    Error,
    Panic,
    Timeout,
}

/// What a task is declared with.
struct Kind {
    name: &'static str,
    max_concurrent: Option<usize>,
    max_per_key: Option<usize>,
    max_pending_per_key: Option<usize>,
}

const KINDS: [Kind; 5] = [
    kind("free", None, None, None),
    kind("two.at.once", Some(2), None, None),
    kind("one.per.key", None, Some(1), None),
    kind("one.waits.per.key", None, None, Some(1)),
    kind("all.limits", Some(2), Some(1), Some(2)),
];

const fn kind(
    name: &'static str,
    max_concurrent: Option<usize>,
    max_per_key: Option<usize>,
    max_pending_per_key: Option<usize>,
) -> Kind {
    Kind {
        name,
        max_concurrent,
        max_per_key,
        max_pending_per_key,
    }
}

const BACKOFF: Duration = Duration::from_millis(70);
const LONG: Duration = Duration::from_secs(3_600);
/// The longest that a shutdown takes beyond its drain timeout.
const GRACE: Duration = Duration::from_secs(2);

impl Kind {
    const fn def(&self) -> TaskDef {
        let mut def = TaskDef::new(self.name).backoff(Backoff::fixed(BACKOFF));
        if let Some(limit) = self.max_concurrent {
            def = def.max_concurrent(limit);
        }
        if let Some(limit) = self.max_per_key {
            def = def.max_per_key(limit);
        }
        if let Some(limit) = self.max_pending_per_key {
            def = def.max_pending_per_key(limit);
        }
        def
    }

    /// Returns whether a task of this kind may have to wait for others of the kind.
    fn waits(&self) -> bool {
        self.max_concurrent.is_some() || self.max_per_key.is_some()
    }
}

fn tens_of_ms(range: Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(|tens| Duration::from_millis(tens * 10))
}

fn jobs() -> impl Strategy<Value = Job> {
    let ending = prop_oneof![
        5 => Just(Ending::Success),
        2 => Just(Ending::Error),
        1 => Just(Ending::Panic),
        1 => Just(Ending::Timeout),
    ];
    (
        0..KINDS.len(),
        0..2_u8,
        prop_oneof![8 => Just(Duration::ZERO), 2 => tens_of_ms(1..8), 1 => tens_of_ms(100..400)],
        // Some outlast a shutdown.
        prop_oneof![5 => tens_of_ms(1..8), 1 => tens_of_ms(100..400)],
        vec(ending, 1..4),
        prop_oneof![2 => Just(0), 1 => 1..3_u32],
    )
        .prop_map(|(kind, key, delay, takes, endings, retries)| Job {
            number: 0,
            kind,
            key,
            delay,
            takes,
            endings,
            retries,
        })
}

/// Lists with lists inside, up to this depth.
fn lists(depth: u32) -> BoxedStrategy<List> {
    let rule = prop_oneof![
        2 => Just(Rule::StopOnError),
        1 => Just(Rule::ContinueOnError),
        1 => Just(Rule::Concurrent),
    ];
    let job = jobs().prop_map(Member::Job);
    let member = match depth {
        0 => job.boxed(),
        _ => prop_oneof![4 => job, 1 => lists(depth - 1).prop_map(Member::List)].boxed(),
    };
    (rule, vec(member, 1..5))
        .prop_map(|(rule, members)| List { rule, members })
        .boxed()
}

fn plans() -> impl Strategy<Value = Plan> {
    let command = prop_oneof![
        4 => lists(2).prop_map(Command::Respond),
        3 => jobs().prop_map(Command::Spawn),
        1 => any::<Index>().prop_map(Command::Abort),
        2 => tens_of_ms(1..12).prop_map(Command::Pass),
    ];
    let drain_timeout = prop_oneof![Just(LONG), tens_of_ms(0..20)];
    (
        option::of(1..5_usize),
        option::of(1..7_usize),
        drain_timeout,
        vec(command, 1..12),
    )
        .prop_map(|(max_concurrent, max_pending, drain_timeout, commands)| {
            let mut plan = Plan {
                max_concurrent,
                max_pending,
                drain_timeout,
                commands,
            };
            let mut numbers = 0..;
            plan.for_each_job(&mut |job| job.number = numbers.next().expect("without end"));
            plan
        })
}

impl Plan {
    fn for_each_job(&mut self, f: &mut impl FnMut(&mut Job)) {
        fn of_list(list: &mut List, f: &mut impl FnMut(&mut Job)) {
            for member in &mut list.members {
                match member {
                    Member::Job(job) => f(job),
                    Member::List(list) => of_list(list, f),
                }
            }
        }
        for command in &mut self.commands {
            match command {
                Command::Respond(list) => of_list(list, f),
                Command::Spawn(job) => f(job),
                Command::Abort(_) | Command::Pass(_) => {}
            }
        }
    }

    /// The lists and jobs that are queued, in order.
    fn queued(&self) -> Vec<Member> {
        let queued = self.commands.iter().filter_map(|command| match command {
            Command::Respond(list) => Some(Member::List(list.clone())),
            Command::Spawn(job) => Some(Member::Job(job.clone())),
            Command::Abort(_) | Command::Pass(_) => None,
        });
        queued.collect()
    }
}

impl Member {
    fn jobs(&self) -> Vec<&Job> {
        match self {
            Self::Job(job) => vec![job],
            Self::List(list) => list.members.iter().flat_map(Self::jobs).collect(),
        }
    }

    /// The jobs that need nothing but their turns, and what their limits allow.
    fn ready(&self) -> Vec<&Job> {
        match self {
            Self::Job(job) => job.delay.is_zero().then_some(job).into_iter().collect(),
            Self::List(list) => {
                let ready = match list.rule {
                    Rule::Concurrent => &list.members[..],
                    Rule::StopOnError | Rule::ContinueOnError => &list.members[..1],
                };
                ready.iter().flat_map(Self::ready).collect()
            }
        }
    }

    /// The job that starts in the moment in which the member's turn comes, if there is one.
    fn first(&self) -> Option<&Job> {
        match self {
            Self::Job(job) => {
                let at_once = job.delay.is_zero() && !KINDS[job.kind].waits();
                at_once.then_some(job)
            }
            Self::List(list) if list.rule == Rule::Concurrent => None,
            Self::List(list) => list.members[0].first(),
        }
    }
}

// Following a plan.

/// What is observed, in order.
#[derive(Debug, Clone, PartialEq)]
enum Event {
    Started {
        job: usize,
        attempt: u32,
    },
    /// A run that returned, or was dropped.
    Ended {
        job: usize,
        returned: bool,
    },
    /// The error hook was told.
    Told {
        /// `None` for a job of a list that was aborted before its turn.
        job: Option<usize>,
        told: Told,
    },
    /// Nothing is left that could run the job.
    Gone {
        job: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
struct Told {
    name: &'static str,
    kind: FailureKind,
    attempt: u32,
    will_retry: bool,
    by_shutdown: bool,
}

#[derive(Debug)]
struct History {
    begun: Instant,
    events: Mutex<Vec<(Duration, Event)>>,
    ids: Mutex<Vec<(TaskId, usize)>>,
}

impl History {
    fn begin() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            events: Mutex::default(),
            ids: Mutex::default(),
        })
    }

    fn note(&self, event: Event) {
        let event = (self.begun.elapsed(), event);
        self.events.lock().unwrap().push(event);
    }

    fn know(&self, id: TaskId, job: usize) {
        self.ids.lock().unwrap().push((id, job));
    }

    fn tell(&self, failure: &TaskFailure) {
        let ids = self.ids.lock().unwrap();
        let by_id = ids.iter().find(|(id, _)| *id == failure.id());
        let by_arguments = failure.arguments().map(|number| number.parse().unwrap());
        let job = by_arguments.or(by_id.map(|(_, job)| *job));
        let told = Told {
            name: failure.task().name(),
            kind: failure.kind(),
            attempt: failure.attempt(),
            will_retry: failure.will_retry(),
            by_shutdown: failure.error().to_string().contains("shutdown"),
        };
        self.note(Event::Told { job, told });
    }

    fn read(&self, jobs: usize) -> Stories {
        Stories::read(&self.events.lock().unwrap(), jobs)
    }
}

/// A job that can be queued.
#[derive(Clone)]
struct Queueable<const KIND: usize> {
    job: Job,
    life: Arc<Life>,
}

struct Life {
    job: usize,
    history: Arc<History>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.history.note(Event::Gone { job: self.job });
    }
}

/// Notes the end of a run, however it comes.
struct Run {
    life: Arc<Life>,
    returned: bool,
}

impl Drop for Run {
    fn drop(&mut self) {
        let (job, returned) = (self.life.job, self.returned);
        self.life.history.note(Event::Ended { job, returned });
    }
}

impl<const KIND: usize> Task for Queueable<KIND> {
    const DEF: &'static TaskDef = &KINDS[KIND].def();

    async fn run(self, cx: TaskContext) -> TaskResult {
        let Self { job, life } = self;
        life.history.know(cx.id(), job.number);
        life.history.note(Event::Started {
            job: job.number,
            attempt: cx.attempt(),
        });
        let mut run = Run {
            life,
            returned: false,
        };
        let ending = job.ending(cx.attempt());
        if ending == Ending::Timeout {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(job.takes).await;
        match ending {
            Ending::Success => {
                run.returned = true;
                Ok(())
            }
            Ending::Panic => panic!("out of luck"),
            Ending::Error | Ending::Timeout => Err("no luck".into()),
        }
    }

    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn key(&self) -> Option<String> {
        Some(self.job.key.to_string())
    }

    fn arguments(&self) -> Option<impl std::fmt::Debug> {
        Some(self.job.number)
    }
}

impl Job {
    fn ending(&self, attempt: u32) -> Ending {
        let last = self.endings.len() - 1;
        self.endings[last.min(attempt as usize - 1)]
    }

    /// How the run should be reported if it is not a success.
    fn failure(&self, attempt: u32) -> Option<FailureKind> {
        match self.ending(attempt) {
            Ending::Success => None,
            Ending::Error => Some(FailureKind::Error),
            Ending::Panic => Some(FailureKind::Panic),
            Ending::Timeout => Some(FailureKind::Timeout),
        }
    }

    fn queueable(&self, history: &Arc<History>) -> BoxTask {
        match self.kind {
            0 => self.of_kind::<0>(history),
            1 => self.of_kind::<1>(history),
            2 => self.of_kind::<2>(history),
            3 => self.of_kind::<3>(history),
            4 => self.of_kind::<4>(history),
            other => unreachable!("there is no kind {other}"),
        }
    }

    fn of_kind<const KIND: usize>(&self, history: &Arc<History>) -> BoxTask {
        let life = Life {
            job: self.number,
            history: history.clone(),
        };
        let task = Queueable::<KIND> {
            job: self.clone(),
            life: Arc::new(life),
        };
        let task = task.retries(self.retries).delay(self.delay).into_task();
        if self.endings.contains(&Ending::Timeout) {
            task.timeout(self.takes + Duration::from_millis(10))
        } else {
            task
        }
    }
}

impl List {
    fn queueable(&self, history: &Arc<History>) -> BackgroundTasks {
        let list = match self.rule {
            Rule::StopOnError => BackgroundTasks::new(),
            Rule::ContinueOnError => BackgroundTasks::new().continue_on_error(),
            Rule::Concurrent => BackgroundTasks::concurrent(),
        };
        for member in &self.members {
            match member {
                Member::Job(job) => list.add_task(job.queueable(history)),
                Member::List(inner) => list.add_task(inner.queueable(history)),
            }
        }
        list
    }
}

/// Lets everything happen that happens in this moment.
async fn moment() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

/// Does what the plan says, and checks what can be seen meanwhile.
async fn follow(plan: &Plan, jobs: &[Job]) {
    let history = History::begin();
    let told = history.clone();
    let mut builder = Background::builder()
        .drain_timeout(plan.drain_timeout)
        .on_error(move |failure| told.tell(failure));
    if let Some(limit) = plan.max_concurrent {
        builder = builder.max_concurrent(limit);
    }
    if let Some(limit) = plan.max_pending {
        builder = builder.max_pending(limit, Overflow::Reject);
    }
    let background = builder.build().expect("nothing to refuse");

    let members = plan.queued();
    // Jobs are queued in the order of their numbers.
    let mut queued = Vec::new();
    let mut handles: Vec<(usize, TaskHandle)> = Vec::new();
    for command in &plan.commands {
        moment().await;
        let before = history.read(queued.len());
        let coming: Vec<&Job> = match command {
            Command::Respond(list) => list.members.iter().flat_map(Member::jobs).collect(),
            Command::Spawn(job) => vec![job],
            Command::Abort(_) | Command::Pass(_) => Vec::new(),
        };
        let refused = refused(plan, &before, jobs, &coming);
        queued.extend(coming.iter().map(|_| history.begun.elapsed()));
        match command {
            Command::Respond(list) => respond_with(&background, list.queueable(&history)).await,
            Command::Spawn(job) => {
                let handle = background.spawn(job.queueable(&history));
                history.know(handle.id(), job.number);
                handles.push((job.number, handle));
            }
            Command::Abort(_) if handles.is_empty() => {}
            Command::Abort(which) => handles[which.index(handles.len())].1.abort(),
            Command::Pass(time) => tokio::time::sleep(*time).await,
        }
        moment().await;
        let now = history.read(queued.len());
        let rejected = coming.iter().map(|job| job.number);
        let rejected = rejected.filter(|job| now.outcome(*job) == Some(Outcome::Rejected));
        assert_eq!(rejected.collect::<Vec<_>>(), refused, "which are refused");
        now.check_stats(&background.stats());
        now.check_no_job_waits_in_vain(plan, jobs, &members);
    }

    let (begun, deadline) = (Instant::now(), history.begun.elapsed() + plan.drain_timeout);
    let report = background.shutdown().await;
    let took = begun.elapsed();
    assert!(took <= plan.drain_timeout + GRACE, "it took {took:?}");
    let (over, events_by_then) = (
        history.begun.elapsed(),
        history.events.lock().unwrap().len(),
    );
    moment().await;
    tokio::time::sleep(LONG).await;
    let stories = history.read(queued.len());
    for (at, event) in &history.events.lock().unwrap()[events_by_then..] {
        let is_left_over = match event {
            // One that was due in the moment in which it was aborted may be faster than the drop.
            Event::Ended { returned, .. } => !returned || *at == over,
            Event::Gone { .. } => true,
            Event::Started { .. } | Event::Told { .. } => false,
        };
        assert!(is_left_over, "after the shutdown, at {at:?}: {event:?}");
    }
    assert_eq!(stories.running(), 0, "a run outlived the shutdown");
    stories.check_stats(&report.stats());
    stories.check_stats(&background.stats());
    stories.check_unfinished(
        jobs,
        report.unfinished().iter().map(|task| task.task().name()),
    );
    if plan.drain_timeout == LONG {
        assert!(report.is_clean(), "there was time for everything: {report}");
    }

    for (job, handle) in handles {
        let outcome = stories.outcome(job).expect("every job has an outcome");
        let ended = handle.await.map_err(|failure| failure.kind());
        assert_eq!(ended.is_ok(), outcome == Outcome::Completed, "job {job}");
        let told = stories.of[job].told.first().map(|(_, told)| told.kind);
        assert_eq!(ended.err(), told, "job {job}");
    }
    for (job, queued) in jobs.iter().zip(queued) {
        stories.check_runs(job, queued, deadline);
    }
    check_limits(plan, jobs, &history.events.lock().unwrap());
    for member in &members {
        if let Member::List(list) = member {
            stories.check_list(list, report.is_clean(), false);
        }
    }
    stories.check_turns(&members);

    let late = background.spawn(jobs[0].queueable(&history));
    assert_eq!(late.await.unwrap_err().kind(), FailureKind::Aborted);
}

// The rules.

/// What is known of each job.
#[derive(Debug)]
struct Stories {
    of: Vec<Story>,
    /// When a shutdown settled what had not had its turn.
    closed: Option<usize>,
    /// The names of those.
    nameless: Vec<&'static str>,
}

/// Events by their place in the history, and their times.
#[derive(Debug, Default)]
struct Story {
    starts: Vec<(usize, Duration, u32)>,
    ends: Vec<(usize, Duration, bool)>,
    retried: Vec<Told>,
    told: Vec<(usize, Told)>,
    gone: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Completed,
    Failed,
    Rejected,
    Skipped,
    Aborted,
}

impl Stories {
    fn read(events: &[(Duration, Event)], jobs: usize) -> Self {
        let mut of: Vec<Story> = (0..jobs).map(|_| Story::default()).collect();
        let (mut closed, mut nameless) = (None, Vec::new());
        for (place, (at, event)) in events.iter().enumerate() {
            match event {
                Event::Started { job, attempt } => of[*job].starts.push((place, *at, *attempt)),
                Event::Ended { job, returned } => of[*job].ends.push((place, *at, *returned)),
                Event::Told { job: None, told } => {
                    assert!(
                        told.kind == FailureKind::Aborted && told.by_shutdown,
                        "{told:?}"
                    );
                    closed = closed.or(Some(place));
                    nameless.push(told.name);
                }
                Event::Told {
                    job: Some(job),
                    told,
                } if told.will_retry => of[*job].retried.push(told.clone()),
                Event::Told {
                    job: Some(job),
                    told,
                } => of[*job].told.push((place, told.clone())),
                Event::Gone { job } => of[*job].gone = Some(place),
            }
        }
        Self {
            of,
            closed,
            nameless,
        }
    }

    /// How a job ended, if it has.
    fn outcome(&self, job: usize) -> Option<Outcome> {
        let story = &self.of[job];
        assert!(
            story.told.len() <= 1,
            "job {job} has one outcome: {story:?}"
        );
        let returned = story.ends.iter().any(|(_, _, returned)| *returned);
        if let Some((_, told)) = story.told.first() {
            let outcome = match told.kind {
                FailureKind::Aborted => Outcome::Aborted,
                FailureKind::Rejected => Outcome::Rejected,
                FailureKind::Skipped => Outcome::Skipped,
                _ => Outcome::Failed,
            };
            assert!(
                !returned || outcome == Outcome::Aborted,
                "job {job}: {story:?}"
            );
            return Some(outcome);
        }
        if returned {
            return Some(Outcome::Completed);
        }
        // No hook hears of a job that is skipped because one before it failed.
        match (story.gone, self.closed) {
            (Some(gone), Some(closed)) if gone > closed => Some(Outcome::Aborted),
            (Some(_), _) => Some(Outcome::Skipped),
            (None, Some(_)) => Some(Outcome::Aborted),
            (None, None) => None,
        }
    }

    fn is_running(&self, job: usize) -> bool {
        self.of[job].starts.len() > self.of[job].ends.len()
    }

    fn running(&self) -> usize {
        (0..self.of.len())
            .filter(|job| self.is_running(*job))
            .count()
    }

    fn is_pending(&self, job: usize) -> bool {
        self.outcome(job).is_none() && !self.is_running(job)
    }

    fn count(&self, outcome: Outcome) -> u64 {
        let jobs = 0..self.of.len();
        jobs.filter(|job| self.outcome(*job) == Some(outcome))
            .count() as u64
    }

    fn check_stats(&self, stats: &Stats) {
        assert!(is_balanced(stats), "{stats}");
        let seen = [
            self.of.len() as u64,
            self.running() as u64,
            self.count(Outcome::Completed),
            self.count(Outcome::Failed),
            self.count(Outcome::Skipped) + self.count(Outcome::Rejected),
            self.count(Outcome::Aborted),
            self.of
                .iter()
                .flat_map(|story| &story.starts)
                .filter(|start| start.2 > 1)
                .count() as u64,
        ];
        let counted = [
            stats.accepted,
            stats.running,
            stats.completed,
            stats.failed,
            stats.skipped,
            stats.aborted,
            stats.retries,
        ];
        assert_eq!(counted, seen, "{stats}; {self:?}");
    }

    fn check_unfinished(&self, jobs: &[Job], unfinished: impl Iterator<Item = &'static str>) {
        let mut expected = self.nameless.clone();
        let mut nameless = Vec::new();
        for job in jobs {
            let story = &self.of[job.number];
            let outcome = self.outcome(job.number).expect("every job has an outcome");
            match story.told.first() {
                Some((_, told)) if told.by_shutdown => expected.push(told.name),
                None if outcome == Outcome::Aborted => nameless.push(KINDS[job.kind].name),
                _ => {}
            }
        }
        let sorted = |mut names: Vec<&'static str>| {
            names.sort_unstable();
            names
        };
        assert_eq!(sorted(nameless), sorted(self.nameless.clone()), "{self:?}");
        assert_eq!(sorted(unfinished.collect()), sorted(expected), "{self:?}");
    }

    /// Checks the runs of one job, and the waits between them, none of which is for a time after
    /// `deadline`.
    fn check_runs(&self, job: &Job, queued: Duration, deadline: Duration) {
        let story = &self.of[job.number];
        let outcome = self.outcome(job.number).expect("every job has an outcome");
        let attempts: Vec<u32> = story.starts.iter().map(|start| start.2).collect();
        let runs = attempts.len() as u32;
        assert!(attempts.iter().copied().eq(1..=runs), "{attempts:?}");
        assert!(runs <= job.retries + 1, "{job:?} ran {runs} times");
        if let Some((_, first, _)) = story.starts.first() {
            assert!(*first >= queued + job.delay, "{job:?} started at {first:?}");
        }
        for (ended, started) in story.ends.iter().zip(&story.starts[runs.min(1) as usize..]) {
            let due = ended.1 + BACKOFF;
            assert!(started.1 >= due, "too early: {job:?}: {story:?}");
            assert!(
                due <= deadline,
                "the shutdown was sooner: {job:?}: {story:?}"
            );
        }
        for (told, attempt) in story.retried.iter().zip(1..) {
            assert_eq!(
                (told.attempt, Some(told.kind)),
                (attempt, job.failure(attempt))
            );
        }
        let retried = story.retried.len() as u32;
        match outcome {
            Outcome::Completed => {
                assert_eq!(job.failure(runs), None);
                assert_eq!(retried + 1, runs);
            }
            Outcome::Failed => {
                let told = &story.told[0].1;
                assert_eq!((told.attempt, runs), (job.retries + 1, job.retries + 1));
                assert_eq!((Some(told.kind), retried), (job.failure(runs), job.retries));
            }
            Outcome::Rejected | Outcome::Skipped => assert_eq!(runs, 0, "{job:?} did run"),
            Outcome::Aborted => assert!(retried <= runs && runs <= retried + 1, "{story:?}"),
        }
    }

    /// Checks the order of one list and those in it, and what is skipped. `behind_a_failure` is
    /// whether a failure outside keeps the list from running.
    fn check_list(&self, list: &List, is_clean: bool, mut behind_a_failure: bool) {
        let mut aborted = false;
        let mut last_end = None;
        for member in &list.members {
            let jobs = member.jobs();
            if list.rule != Rule::Concurrent {
                for story in jobs.iter().map(|job| &self.of[job.number]) {
                    let first = story.starts.first().map(|start| start.0);
                    assert!(
                        first.is_none() || first > last_end,
                        "not in order: {list:?}"
                    );
                    assert!(
                        !aborted || first.is_none(),
                        "behind an aborted one: {list:?}"
                    );
                }
                let ends = jobs.iter().flat_map(|job| &self.of[job.number].ends);
                last_end = ends.map(|end| end.0).chain(last_end).max();
            }
            match member {
                Member::List(inner) => self.check_list(inner, is_clean, behind_a_failure),
                Member::Job(job) => match self.outcome(job.number) {
                    Some(Outcome::Rejected) => {}
                    Some(Outcome::Aborted) => assert!(!is_clean, "{job:?}"),
                    outcome => {
                        let is_skipped = outcome == Some(Outcome::Skipped);
                        assert_eq!(is_skipped, behind_a_failure, "{job:?} of {list:?}");
                    }
                },
            }
            if list.rule == Rule::StopOnError {
                let has = |outcome| {
                    let mut outcomes = jobs.iter().map(|job| self.outcome(job.number));
                    outcomes.any(|other| other == Some(outcome))
                };
                behind_a_failure |= has(Outcome::Failed) || has(Outcome::Rejected);
                aborted |= has(Outcome::Aborted);
            }
        }
    }

    /// Checks that each job that could run, and waits, is held back by one of its limits.
    fn check_no_job_waits_in_vain(&self, plan: &Plan, jobs: &[Job], members: &[Member]) {
        let running = |is_counted: &dyn Fn(&Job) -> bool| {
            let all = jobs[..self.of.len()].iter();
            let running = all.filter(|job| self.is_running(job.number) && is_counted(job));
            Some(running.count())
        };
        for job in members.iter().flat_map(Member::ready) {
            let is_queued = job.number < self.of.len();
            if !is_queued || !self.is_pending(job.number) || !self.of[job.number].starts.is_empty()
            {
                continue;
            }
            let kind = &KINDS[job.kind];
            let is_full = running(&|_| true) == plan.max_concurrent
                || running(&|other| other.kind == job.kind) == kind.max_concurrent
                || running(&|other| (other.kind, other.key) == (job.kind, job.key))
                    == kind.max_per_key;
            assert!(is_full, "it waits in vain: {job:?}");
        }
    }

    /// Checks that nothing overtakes a job that was queued earlier and needs nothing but its turn.
    fn check_turns(&self, members: &[Member]) {
        let start = |job: &Job| self.of[job.number].starts.first().map(|start| start.1);
        for (place, member) in members.iter().enumerate() {
            let Some(first) = member.first() else {
                continue;
            };
            let outcome = self.outcome(first.number);
            let is_aborted = matches!(member, Member::Job(_)) && outcome == Some(Outcome::Aborted);
            if is_aborted || outcome == Some(Outcome::Rejected) {
                continue;
            }
            let later = members[place + 1..].iter().flat_map(Member::jobs);
            for later in later.filter_map(start) {
                let first = start(first).expect("it is overtaken by one that started");
                assert!(first <= later, "{member:?} was overtaken");
            }
        }
    }
}

/// The numbers of the jobs that find no room when they are queued together.
fn refused(plan: &Plan, now: &Stories, jobs: &[Job], coming: &[&Job]) -> Vec<usize> {
    let mut pending: Vec<&Job> = (0..now.of.len())
        .filter(|job| now.is_pending(*job))
        .map(|job| &jobs[job])
        .collect();
    let mut refused = Vec::new();
    for &job in coming {
        let of_key = pending
            .iter()
            .filter(|other| (other.kind, other.key) == (job.kind, job.key));
        let limit = KINDS[job.kind].max_pending_per_key;
        let key_is_full = limit.is_some_and(|limit| of_key.count() >= limit);
        if key_is_full || plan.max_pending.is_some_and(|limit| pending.len() >= limit) {
            refused.push(job.number);
        } else {
            pending.push(job);
        }
    }
    refused
}

/// Checks that no more jobs run at once than each limit allows.
fn check_limits(plan: &Plan, jobs: &[Job], events: &[(Duration, Event)]) {
    let (mut all, mut of_name, mut of_key) = (0, HashMap::new(), HashMap::new());
    for (at, event) in events {
        let (job, change) = match event {
            Event::Started { job, .. } => (&jobs[*job], 1),
            Event::Ended { job, .. } => (&jobs[*job], -1),
            Event::Told { .. } | Event::Gone { .. } => continue,
        };
        let kind = &KINDS[job.kind];
        let named = of_name.entry(kind.name).or_insert(0_isize);
        let keyed = of_key.entry((kind.name, job.key)).or_insert(0_isize);
        for (count, limit) in [
            (&mut all, plan.max_concurrent),
            (named, kind.max_concurrent),
            (keyed, kind.max_per_key),
        ] {
            *count += change;
            let within = limit.is_none_or(|limit| *count <= limit as isize);
            assert!(within, "{count} of {limit:?} at {at:?}: {job:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_rules_hold_for_every_plan_of_lists_limits_and_a_shutdown(plan in plans()) {
        let members = plan.queued();
        let jobs: Vec<Job> = members.iter().flat_map(Member::jobs).cloned().collect();
        prop_assume!(!jobs.is_empty());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(follow(&plan, &jobs));
    }
}
