//! Seeing that a file of SQLite was written to, by whatever process.
//!
//! SQLite tells nobody. What it writes goes to the log beside the file, so the length and the time of that one say that
//! something was: to look at them costs a few microseconds, where a query wakes two threads. Two writes within the same
//! tick of the system's clock may look like one, so whoever waits here looks at the tables now and then as well.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sqlx::SqlitePool;

/// How often is looked. A task that another process has stored begins after half of it, in the middle.
const POLL: Duration = Duration::from_millis(20);

pub(super) struct FileChanges {
    log: PathBuf,
    /// `None` before the first look.
    seen: Option<Stamp>,
}

/// `None` where there is no log, as before the first write.
type Stamp = Option<(u64, Option<SystemTime>)>;

impl FileChanges {
    pub(super) fn of(pool: &SqlitePool) -> Self {
        let options = pool.connect_options();
        let mut log = options.get_filename().as_os_str().to_owned();
        log.push("-wal");
        Self {
            log: log.into(),
            seen: None,
        }
    }

    /// Returns once the file has changed since this returned last, and the first time at once.
    pub(super) async fn next(&mut self) {
        loop {
            // Of a file that is open, so it is answered from memory.
            let found = fs::metadata(&self.log).ok();
            let found = found.map(|found| (found.len(), found.modified().ok()));
            if self.seen != Some(found) {
                self.seen = Some(found);
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
