//! Seeing that a file of SQLite was written to, by whatever process.
//!
//! SQLite tells nobody. What it writes goes to the log beside the file, so the length and the time of that one say that
//! something was: to look at them costs a few microseconds, where a query wakes two threads. A write can be read only
//! when the log has reached the disk, which is after they have changed, and two writes within the same tick of the
//! system's clock may look like one. So each change is told of several times, at growing distances.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sqlx::SqlitePool;
use tokio::time::Instant;

/// How often is looked. A task that another process has stored begins after half of it, in the middle.
const POLL: Duration = Duration::from_millis(20);

/// How long after a change was told of it is told of once more, twice as long each time. The disk may take as long.
const LAST: Duration = Duration::from_secs(1);

pub(super) struct FileChanges {
    log: PathBuf,
    /// `None` before the first look.
    seen: Option<Stamp>,
    /// When the latest change is told of again, and how long that is after it was.
    again: Option<(Instant, Duration)>,
}

/// `None` where there is no log, as before the first write.
type Stamp = Option<(u64, Option<SystemTime>)>;

impl FileChanges {
    pub(super) fn of(pool: &SqlitePool) -> Self {
        let options = pool.connect_options();
        let file = options.get_filename();
        // Beside the file itself, if its name is a link to it.
        let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let mut log = file.into_os_string();
        log.push("-wal");
        Self {
            log: log.into(),
            seen: None,
            again: None,
        }
    }

    /// Returns once the file has changed since this returned last, the first time at once, and again some times after a
    /// change.
    pub(super) async fn next(&mut self) {
        loop {
            // Of a file that is open, so it is answered from memory.
            let found = fs::metadata(&self.log).ok();
            let found = found.map(|found| (found.len(), found.modified().ok()));
            let now = Instant::now();
            if self.seen != Some(found) {
                self.seen = Some(found);
                self.again = Some((now + POLL, POLL));
                return;
            }
            if let Some((at, wait)) = self.again
                && at <= now
            {
                let wait = wait * 2;
                self.again = (wait <= LAST).then(|| (now + wait, wait));
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_of_until_the_disk_must_have_it() {
        let directory = std::env::temp_dir().join(format!("bg_changes_{:x}", fastrand::u64(..)));
        fs::create_dir(&directory).unwrap();
        let file = directory.join("tasks.db");
        let options = SqliteConnectOptions::new().filename(&file);
        let pool = SqlitePoolOptions::new().connect_lazy_with(options);
        let mut changes = FileChanges::of(&pool);
        for content in ["", "one", "another"] {
            fs::write(directory.join("tasks.db-wal"), content).unwrap();
            let begun = Instant::now();
            let mut told = 0;
            while tokio::time::timeout(LAST * 2, changes.next()).await.is_ok() {
                told += 1;
            }
            assert_eq!(told, 7, "{content:?}");
            assert!(begun.elapsed() < LAST * 4);
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
