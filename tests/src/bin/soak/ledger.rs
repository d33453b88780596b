//! The books outside of the library: what was handed over, and every sign of what became of it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use bg_runtime::{BoxTask, Overflow, ShutdownReport, SkipReason, TaskFailure, TaskId};
use tests::{
    Protocol, Timeline,
    recorded_io::{Recorder, ResponseEnd},
};

use crate::{
    clients::Fate,
    history::{
        Closing, End, Handle, History, Limit, List, Member, Report, Request, Run, Source, Task,
        Told,
    },
    plan::{Kind, RequestPlan, RoundPlan, TaskPlan},
    server::Target,
};

/// The books of one round. Clones are the same ledger.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Inner>);

struct Inner {
    timeline: Timeline,
    round: RoundPlan,
    books: Mutex<Books>,
    alive: AtomicUsize,
}

#[derive(Default)]
struct Books {
    history: History,
    tasks: HashMap<TaskId, usize>,
    requests: HashMap<u64, usize>,
    /// Where the response of each request ends, and who knows when that was written.
    ends: Vec<Option<(Recorder, ResponseEnd)>>,
    clients: HashSet<SocketAddr>,
}

/// A task's line in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line(usize);

impl Line {
    pub(crate) fn member(self) -> Member {
        Member::Task(self.0)
    }
}

impl Ledger {
    pub(crate) fn new(round: RoundPlan, timeline: Timeline) -> Self {
        let books = Books {
            history: History {
                refuses: round.pending_limit().is_some(),
                holds_back: matches!(round.max_pending, Some((_, Overflow::Wait))),
                tells_async: round.async_hook,
                ..History::default()
            },
            ..Books::default()
        };
        Self(Arc::new(Inner {
            timeline,
            round,
            books: Mutex::new(books),
            alive: AtomicUsize::new(0),
        }))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap()
    }

    fn now(&self) -> u64 {
        self.0.timeline.now().sequence
    }

    pub(crate) fn round(&self) -> &RoundPlan {
        &self.0.round
    }

    /// Opens a line for a task, before it is handed over.
    pub(crate) fn open(&self, plan: &TaskPlan, request: Option<u64>, source: Source) -> Line {
        let books = &mut *self.books();
        let line = books.history.tasks.len();
        let request = request.map(|number| books.request(number));
        let RoundPlan { seed, round, .. } = self.0.round;
        let of = match request {
            Some(request) => books.history.requests[request].name.clone(),
            None => format!("seed {seed}, round {round}, no request"),
        };
        let name = format!("{of}, task {line} ({source:?} {plan:?})");
        books.history.tasks.push(Task {
            name,
            request,
            source,
            when: plan.when,
            retries: plan.retries,
            has_timeout: plan.timeout.is_some(),
            is_blocking: plan.is_blocking(),
            is_independent: plan.independent,
            may_be_refused: matches!(plan.kind, Kind::Crowded(_)),
            limits: self.limits_of(plan),
            runs: Vec::new(),
            told: Vec::new(),
            told_async: Vec::new(),
            handle: Handle::None,
            abort_asked: false,
            unfinished: false,
        });
        Line(line)
    }

    /// A synchronous run counts until its thread ends, also when the library has stopped waiting for it.
    fn limits_of(&self, plan: &TaskPlan) -> Vec<Limit> {
        let own = match plan.kind {
            Kind::Exclusive(key) => Some((format!("the exclusive key {key}"), 1)),
            Kind::Crowded(key) => Some((format!("the crowded key {key}"), 2)),
            Kind::Scarce => Some(("the scarce task".to_owned(), 3)),
            Kind::Plain | Kind::Blocking | Kind::OneOff | Kind::OneOffBlocking => None,
        };
        let round = &self.0.round;
        let lists = round.max_concurrent;
        let lists = lists.map(|runs| ("max_concurrent".to_owned(), runs));
        let threads = round.max_blocking.filter(|_| plan.is_blocking());
        let threads = threads.map(|runs| ("max_blocking".to_owned(), runs));
        let limits = [own, lists, threads].into_iter().flatten();
        limits.map(|(name, runs)| Limit { name, runs }).collect()
    }

    /// The task is about to be handed to the library, which knows it by this name.
    pub(crate) fn hand_over(&self, line: Line, task: &BoxTask) {
        let id = id_of(task);
        self.books().tasks.insert(id, line.0);
    }

    /// The library did not take it.
    pub(crate) fn not_taken(&self, line: Line) {
        let books = &mut *self.books();
        let name = &books.history.tasks[line.0].name;
        let stranger = format!("{name}: `after_response` found no request");
        books.history.strangers.push(stranger);
    }

    /// A body has waited for the end of its server, and was not told of it.
    pub(crate) fn waited_in_vain(&self, number: u64) {
        let books = &mut *self.books();
        let request = books.request(number);
        let name = &books.history.requests[request].name;
        let stranger = format!("{name}: its body was not told that the server stops");
        books.history.strangers.push(stranger);
    }

    /// The first line of a task's own code.
    pub(crate) fn start(&self, line: Line, attempt: u32) -> Running {
        self.0.alive.fetch_add(1, Ordering::SeqCst);
        let start = self.now();
        let books = &mut *self.books();
        let runs = &mut books.history.tasks[line.0].runs;
        runs.push(Run {
            attempt,
            start,
            end: None,
        });
        Running {
            ledger: self.clone(),
            line,
            run: runs.len() - 1,
            end: End::Dropped,
        }
    }

    /// How many tasks are between their first line and their last.
    pub(crate) fn alive(&self) -> usize {
        self.0.alive.load(Ordering::SeqCst)
    }

    /// An error hook is called.
    pub(crate) fn told(&self, failure: &TaskFailure) {
        let at = self.now();
        let told = Told {
            at,
            kind: failure.kind(),
            error: failure.error().to_string(),
            reason: failure.error().downcast_ref::<SkipReason>().copied(),
            attempt: failure.attempt(),
            will_retry: failure.will_retry(),
        };
        let books = &mut *self.books();
        match books.line(failure.id()) {
            Some(line) => books.history.tasks[line].told.push(told),
            None => books.history.strangers.push(failure.to_string()),
        }
    }

    /// An async error hook has been told.
    pub(crate) fn told_async(&self, failure: &TaskFailure) {
        let now = self.now();
        let books = &mut *self.books();
        if let Some(line) = books.line(failure.id()) {
            books.history.tasks[line].told_async.push(now);
        }
    }

    /// A handle waits for the task.
    pub(crate) fn watched(&self, line: Line) {
        self.books().history.tasks[line.0].handle = Handle::Waits;
    }

    /// The handle is about to abort the task.
    pub(crate) fn abort_asked(&self, line: Line) {
        self.books().history.tasks[line.0].abort_asked = true;
    }

    /// The handle has given the outcome.
    pub(crate) fn concluded(&self, line: Line, outcome: &Result<(), TaskFailure>) {
        self.books().history.tasks[line.0].handle = match outcome {
            Ok(()) => Handle::Completed,
            Err(failure) => Handle::Failed(failure.kind()),
        };
    }

    /// Returns whether this is the first connection of the round from there.
    pub(crate) fn is_new_client(&self, address: SocketAddr) -> bool {
        self.books().clients.insert(address)
    }

    /// A client is about to send the request, whose response ends there.
    pub(crate) fn sent(&self, number: u64, plan: &RequestPlan, end: ResponseEnd, target: &Target) {
        let serving = target.serving;
        let RoundPlan {
            seed,
            round,
            flavour,
            catches_panics,
            ..
        } = self.0.round;
        let protocol = match end {
            ResponseEnd::Stream(..) => Protocol::Http2,
            ResponseEnd::Offset(..) | ResponseEnd::Response(..) => Protocol::Http1,
        };
        let estimated = !serving.is_exact() && protocol == Protocol::Http2;
        let RequestPlan { path, method, .. } = plan;
        let books = &mut *self.books();
        let request = books.request(number);
        books.ends[request] = Some((target.recorder.clone(), end));
        let request = &mut books.history.requests[request];
        request.panics = plan.panics();
        request.is_judged =
            !(estimated && plan.has_no_body()) && (catches_panics || !plan.panics());
        request.name = format!(
            "seed {seed}, round {round} ({flavour:?}, {serving:?}), request {number} ({protocol:?} {method} {path:?} {:?})",
            plan.answer
        );
    }

    /// The response is given up now, if it has not been before.
    pub(crate) fn given_up(&self, number: u64) {
        let now = self.now();
        let books = &mut *self.books();
        let request = books.request(number);
        let given_up = &mut books.history.requests[request].given_up;
        given_up.get_or_insert(now);
    }

    /// The client knows what became of its request.
    pub(crate) fn ended(&self, number: u64, fate: &Fate) {
        let books = &mut *self.books();
        let request = books.request(number);
        books.history.requests[request].fate = format!("{fate:?}");
    }

    /// The handler returns its response.
    pub(crate) fn answered(&self, number: u64, status: u16) {
        let books = &mut *self.books();
        let request = books.request(number);
        books.history.requests[request].answered = Some(status);
    }

    /// What is handed over of one source, as one list.
    pub(crate) fn list(&self, number: u64, list: List) {
        let books = &mut *self.books();
        let request = books.request(number);
        books.history.requests[request].lists.push(list);
    }

    /// The name of a request in messages.
    pub(crate) fn name_of(&self, number: u64) -> String {
        let books = &mut *self.books();
        let request = books.request(number);
        books.history.requests[request].name.clone()
    }

    /// Returns whether a server that runs has been told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        let books = &*self.books();
        let last = books.history.closings.last();
        last.is_some_and(|closing| closing.over.is_none())
    }

    /// The servers of a term are about to run.
    pub(crate) fn term_begins(&self) {
        let now = self.now();
        if let Some(closing) = self.books().history.closings.last_mut() {
            closing.over = Some(now);
        }
    }

    /// The first server of the term is about to be told to stop.
    pub(crate) fn stop_begins(&self) {
        let now = self.now();
        self.books().history.closings.push(Closing {
            began: now,
            over: None,
        });
    }

    /// The tasks have been drained.
    pub(crate) fn drained(&self, report: &ShutdownReport) {
        let at = self.now();
        let books = &mut *self.books();
        books.history.reports.push(Report {
            at,
            stats: report.stats(),
            unfinished: report.unfinished().len() as u64,
        });
        for unfinished in report.unfinished() {
            match books.line(unfinished.id()) {
                Some(line) => books.history.tasks[line].unfinished = true,
                None => books.history.strangers.push(unfinished.to_string()),
            }
        }
    }

    /// Everything that has happened so far.
    pub(crate) fn history(&self) -> History {
        let books = &mut *self.books();
        for (request, end) in books.history.requests.iter_mut().zip(&books.ends) {
            if let Some((recorder, end)) = end {
                let last_write = recorder.last_write(*end);
                request.last_write = last_write.map(|moment| moment.sequence);
                request.gone = recorder.gone(*end).map(|moment| moment.sequence);
            }
        }
        books.history.clone()
    }

    /// How many hold this ledger: tasks, hooks and handlers that are still there, among others.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Books {
    fn request(&mut self, number: u64) -> usize {
        let Self {
            history,
            requests,
            ends,
            ..
        } = self;
        *requests.entry(number).or_insert_with(|| {
            history.requests.push(Request {
                name: format!("request {number}"),
                ..Request::default()
            });
            ends.push(None);
            history.requests.len() - 1
        })
    }

    fn line(&self, id: TaskId) -> Option<usize> {
        self.tasks.get(&id).copied()
    }
}

/// The library's id for a task, which a task that has not been queued shows nowhere else.
fn id_of(task: &BoxTask) -> TaskId {
    let shown = format!("{task:?}");
    let id = shown.split_once("TaskId(").and_then(|(_, rest)| {
        let (id, _) = rest.split_once(')')?;
        id.parse().ok()
    });
    id.unwrap_or_else(|| panic!("the id in {shown}"))
}

/// A run under way. Dropping it is an end, too.
pub(crate) struct Running {
    ledger: Ledger,
    line: Line,
    run: usize,
    end: End,
}

impl Running {
    pub(crate) fn end(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let now = self.ledger.now();
        let books = &mut *self.ledger.books();
        books.history.tasks[self.line.0].runs[self.run].end = Some((now, self.end));
        self.ledger.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}
