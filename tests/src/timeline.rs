//! One sequence for everything that happens in a test: writes of the server, lines of tasks.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// How long a test waits for an event before it fails. Generous: it is only paid on failure, and where River's leader dies,
/// another one takes over some 20 seconds later.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A point in the one order of events of a test, with the clock's reading beside it.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The place in the order. Never equal for two moments of one timeline.
    pub sequence: u64,
    /// When that was.
    pub at: Instant,
}

impl Moment {
    /// Returns whether this happened before `other`.
    pub fn is_before(&self, other: &Self) -> bool {
        self.sequence < other.sequence
    }
}

/// Marks with a name, in order. Clones are the same timeline.
#[derive(Clone)]
pub struct Timeline(Arc<Inner>);

struct Inner {
    next: AtomicU64,
    marks: Mutex<Vec<(String, Moment)>>,
    changed: watch::Sender<()>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// An empty one.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            next: AtomicU64::new(0),
            marks: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    /// The next moment, without a name.
    pub fn now(&self) -> Moment {
        Moment {
            sequence: self.0.next.fetch_add(1, Ordering::SeqCst),
            at: Instant::now(),
        }
    }

    /// Notes that `name` happened now. The same name may happen any number of times.
    pub fn mark(&self, name: impl Into<String>) -> Moment {
        let moment = self.now();
        self.0.marks.lock().unwrap().push((name.into(), moment));
        self.0.changed.send_replace(());
        moment
    }

    /// When `name` happened first, if it did.
    pub fn find(&self, name: &str) -> Option<Moment> {
        let marks = self.0.marks.lock().unwrap();
        marks.iter().find(|mark| mark.0 == name).map(|mark| mark.1)
    }

    /// How often `name` happened.
    pub fn count(&self, name: &str) -> usize {
        let marks = self.0.marks.lock().unwrap();
        marks.iter().filter(|mark| mark.0 == name).count()
    }

    /// All names, in the order they happened.
    pub fn names(&self) -> Vec<String> {
        let mut marks = self.0.marks.lock().unwrap().clone();
        marks.sort_by_key(|mark| mark.1.sequence);
        marks.into_iter().map(|mark| mark.0).collect()
    }

    /// Every name with its first moment, for tests that look at hundreds.
    pub fn moments(&self) -> std::collections::HashMap<String, Moment> {
        let marks = self.0.marks.lock().unwrap();
        marks.iter().rev().cloned().collect()
    }

    /// Waits until `name` has happened.
    ///
    /// # Panics
    ///
    /// If it has not happened after [`LIMIT`]; says what did.
    pub async fn reached(&self, name: &str) -> Moment {
        self.reached_times(name, 1).await;
        self.find(name).expect("it was just there")
    }

    /// Waits until `name` has happened `times` times.
    ///
    /// # Panics
    ///
    /// Like [`reached`](Self::reached).
    pub async fn reached_times(&self, name: &str, times: usize) {
        let mut changed = self.0.changed.subscribe();
        let enough = changed.wait_for(|()| self.count(name) >= times);
        let reached = tokio::time::timeout(LIMIT, enough).await.is_ok();
        assert!(
            reached,
            "`{name}` did not happen {times} times in {LIMIT:?}; {self:?}"
        );
    }

    /// A task's work that only leaves marks: `name` at its first line, `name done` at its end.
    pub fn work(&self, name: impl Into<String>) -> impl Future<Output = ()> + Send + 'static {
        self.work_blocking(name, Duration::ZERO)
    }

    /// Like [`work`](Self::work), but blocks its thread between the two: what starts too early
    /// delays what it should have waited for.
    pub fn work_blocking(
        &self,
        name: impl Into<String>,
        block: Duration,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (timeline, name) = (self.clone(), name.into());
        async move {
            timeline.mark(name.as_str());
            if !block.is_zero() {
                std::thread::sleep(block);
            }
            timeline.mark(format!("{name} done"));
        }
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what happened: {:?}", self.names())
    }
}

/// Awaits `future`, and fails the test with `what` when it takes longer than [`LIMIT`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in {LIMIT:?}"))
}

/// Waits until `holds`, for what has no event to wait for (a counter). Fails after [`LIMIT`].
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
