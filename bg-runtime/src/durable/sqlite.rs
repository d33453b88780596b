use std::path::PathBuf;

use super::Store;
use super::engine::{Address, Place};

/// Durable tasks in a file, without a server. With the feature `sqlite`.
///
/// One process writes at a time, and a commit waits for the disk, so that a task which is stored survives a power cut.
/// Workers of other processes look each 20 ms whether the file has changed; who stores a task wakes those of its own process.
#[derive(Debug)]
pub struct Sqlite;

impl Sqlite {
    /// Returns a store in this file, which is created when it is opened, if there is none. Its directory must exist,
    /// and be on a local disk: network file systems do not keep their promises to SQLite. For tests there is
    /// [`testing::Memory`](crate::testing::Memory), and `:memory:` is refused.
    pub fn file(path: impl Into<PathBuf>) -> Store {
        Store::new(Place::River(Address::Sqlite(path.into())))
    }
}
