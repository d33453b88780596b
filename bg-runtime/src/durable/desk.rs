use futures_util::future::BoxFuture;

use super::{Claimed, Verdict};

/// What a worker needs to know of this process, and where it brings what it has claimed.
pub(crate) struct Desk {
    /// The names of the tasks that are run here, old ones included. None of another name is ever claimed.
    pub(crate) names: &'static [&'static str],
    /// The queues that are looked at, with how many tasks of each run here at once.
    pub(crate) queues: Vec<(String, usize)>,
    run: Box<dyn Fn(Claimed) -> BoxFuture<'static, Verdict> + Send + Sync>,
}

impl Desk {
    pub(crate) fn new(
        names: &'static [&'static str],
        queues: Vec<(String, usize)>,
        run: impl Fn(Claimed) -> BoxFuture<'static, Verdict> + Send + Sync + 'static,
    ) -> Self {
        Self {
            names,
            queues,
            run: Box::new(run),
        }
    }

    /// Runs a claimed task once. The future is not the run itself: dropping it lets the run go on, and its verdict
    /// is lost. It never panics, and takes no longer than the shutdown of this process waits.
    pub(crate) fn run(&self, claimed: Claimed) -> BoxFuture<'static, Verdict> {
        (self.run)(claimed)
    }
}
