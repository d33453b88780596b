//! What happened when, for tests whose time is paused: the times are exact then.

use std::{
    fmt::Display,
    sync::{Arc, Mutex},
    time::Duration,
};

use bg_runtime::{BoxTask, named};
use tokio::time::Instant;

/// Lines with the time since the diary was begun, to the tenth of a second: what the library
/// itself takes, such as a layer's moment after a response, is less. Clones are the same diary.
#[derive(Debug, Clone)]
pub struct Diary {
    begun: Instant,
    lines: Arc<Mutex<Vec<(Duration, String)>>>,
}

impl Diary {
    /// An empty one, whose time begins now.
    pub fn begin() -> Self {
        Self {
            begun: Instant::now(),
            lines: Arc::default(),
        }
    }

    /// Writes a line.
    pub fn note(&self, line: impl Display) {
        let line = (self.begun.elapsed(), line.to_string());
        self.lines.lock().unwrap().push(line);
    }

    /// The lines so far, as `2.5s line`.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let lines = lines.iter().map(|(at, line)| {
            let tenths = at.as_millis() / 100;
            format!("{}s {line}", tenths as f64 / 10.0)
        });
        lines.collect()
    }

    /// When each line of this text was written.
    pub fn times(&self, text: &str) -> Vec<Duration> {
        let lines = self.lines.lock().unwrap();
        let lines = lines.iter().filter(|line| line.1 == text);
        lines.map(|line| line.0).collect()
    }

    /// A task that notes its name when it starts, and takes this long.
    #[track_caller]
    pub fn task(&self, name: &'static str, takes: Duration) -> BoxTask {
        let diary = self.clone();
        named(name, async move {
            diary.note(name);
            tokio::time::sleep(takes).await;
        })
    }
}
