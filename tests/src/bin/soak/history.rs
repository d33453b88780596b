//! What happened in a round, as plain data: what the ledger writes and the judge reads.

use bg_runtime::{FailureKind, SkipReason, Stats};

use crate::plan::When;

/// A place in the one order of events.
pub(crate) type Sequence = u64;

/// Everything that is judged of one round.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) tasks: Vec<Task>,
    pub(crate) requests: Vec<Request>,
    /// The times in which no server, or only one that was told to stop, was there, in order.
    pub(crate) closings: Vec<Closing>,
    /// What each drain reported.
    pub(crate) reports: Vec<Report>,
    /// The counts once everything was gone.
    pub(crate) stats: Stats,
    /// Outcomes of tasks that were never handed over.
    pub(crate) strangers: Vec<String>,
    /// Tasks may be refused because too many wait.
    pub(crate) refuses: bool,
    /// Responses may wait for room, and their clients leave meanwhile.
    pub(crate) holds_back: bool,
    /// There is an async error hook beside the other one.
    pub(crate) tells_async: bool,
}

/// A time from the moment at which the first server of a term is told to stop to the start of the
/// next term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) began: Sequence,
    pub(crate) over: Option<Sequence>,
}

impl Closing {
    pub(crate) fn contains(&self, at: Sequence) -> bool {
        self.began < at && self.over.is_none_or(|over| at < over)
    }
}

/// The end of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) at: Sequence,
    pub(crate) stats: Stats,
    /// The number of tasks that it names as unfinished.
    pub(crate) unfinished: u64,
}

/// One task that was handed to the library.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    /// Its place in [`History::requests`]; `None` if it was spawned.
    pub(crate) request: Option<usize>,
    pub(crate) source: Source,
    pub(crate) when: When,
    pub(crate) retries: u32,
    pub(crate) has_timeout: bool,
    pub(crate) is_blocking: bool,
    /// It is a list of its own, so no failure of another keeps it from running.
    pub(crate) is_independent: bool,
    /// Its key may refuse it.
    pub(crate) may_be_refused: bool,
    /// The limits that count its runs.
    pub(crate) limits: Vec<Limit>,
    pub(crate) runs: Vec<Run>,
    pub(crate) told: Vec<Told>,
    /// When an async error hook was done with each of them.
    pub(crate) told_async: Vec<Sequence>,
    pub(crate) handle: Handle,
    /// The handle was told to abort it.
    pub(crate) abort_asked: bool,
    /// The report of the shutdown names it as unfinished.
    pub(crate) unfinished: bool,
}

/// Where a task came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Route,
    Handler,
    Response,
    /// Added beside the handler, by the body, or by another task of the request.
    Late,
    Spawned,
}

/// A limit on how many runs there are at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) runs: usize,
}

/// One run, by the marks that the task's own code left.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) attempt: u32,
    pub(crate) start: Sequence,
    pub(crate) end: Option<(Sequence, End)>,
}

/// How a task's own code ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Failed,
    Panicked,
    /// Its future was dropped.
    Dropped,
}

/// What an error hook was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) at: Sequence,
    pub(crate) kind: FailureKind,
    /// For messages only.
    #[expect(dead_code, reason = "it is shown by `Debug`")]
    pub(crate) error: String,
    pub(crate) reason: Option<SkipReason>,
    pub(crate) attempt: u32,
    pub(crate) will_retry: bool,
}

/// What a task's handle gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handle {
    /// There is none.
    None,
    /// It has not given anything yet.
    Waits,
    Completed,
    Failed(FailureKind),
}

/// One request that reached its handler, or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) name: String,
    /// The status that the handler returned, if it did.
    pub(crate) answered: Option<u16>,
    pub(crate) panics: bool,
    /// When the operating system took the last byte of the response.
    pub(crate) last_write: Option<Sequence>,
    /// When the response was given up: the client left, the body broke, the handler panicked.
    pub(crate) given_up: Option<Sequence>,
    /// When the server let go of the connection.
    pub(crate) gone: Option<Sequence>,
    /// What became of it, as its client saw it. For messages only.
    pub(crate) fate: String,
    /// Whether it can be told for sure whether a task started early.
    pub(crate) is_judged: bool,
    /// Its lists, in the order in which they run.
    pub(crate) lists: Vec<List>,
}

/// A list as it was handed over.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    pub(crate) concurrent: bool,
    pub(crate) continue_on_error: bool,
    pub(crate) members: Vec<Member>,
}

#[derive(Debug, Clone)]
pub(crate) enum Member {
    /// Its place in [`History::tasks`].
    Task(usize),
    List(List),
}
