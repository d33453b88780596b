//! The runtimes that a server is tried on.

use tokio::runtime::{Builder, Runtime};

/// A kind of tokio runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// One thread does everything: what blocks it blocks everything.
    CurrentThread,
    /// A multi-thread runtime with this many workers.
    Workers(usize),
}

impl Flavour {
    /// Every flavour that promises are proven on.
    pub const ALL: [Self; 4] = [
        Self::CurrentThread,
        Self::Workers(1),
        Self::Workers(2),
        Self::Workers(4),
    ];

    /// A new runtime of this kind.
    pub fn runtime(self) -> Runtime {
        match self {
            Self::CurrentThread => Builder::new_current_thread().enable_all().build(),
            Self::Workers(workers) => Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build(),
        }
        .expect("a runtime")
    }
}
