//! The file into which a Redis writes what it does, before it says so: its own books, of which its clients know nothing.
//!
//! What a script has changed stands there as the commands that have changed it. A restart goes on behind them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Place, Record, redis_client};

/// Returns the records of all ends of tasks, in order.
///
/// # Panics
///
/// Panics if the server keeps no such file, or it cannot be read.
pub(super) async fn records(place: &Place) -> Vec<Record> {
    let Place::Redis { url, prefix } = place else {
        panic!("it has no such file");
    };
    // Whatever was said before this is written before it.
    let mark = format!("{prefix}:#mark:{:x}", fastrand::u64(..));
    let mut write = redis::cmd("SET");
    write.arg(&mark).arg(1);
    let () = redis_client::ask(url, &write).await.expect("it writes");
    let directory = directory(url).await;
    let mut books = Books::new(prefix);
    loop {
        let commands = commands(&directory);
        if commands.iter().any(|command| command.get(1) == Some(&mark)) {
            commands.iter().for_each(|command| books.write(command));
            return books.records;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn directory(url: &str) -> PathBuf {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("dir").arg("appenddirname");
    let settings: BTreeMap<String, String> = redis_client::ask(url, &ask).await.expect("settings");
    Path::new(&settings["dir"]).join(&settings["appenddirname"])
}

/// The words of each command.
fn commands(directory: &Path) -> Vec<Vec<String>> {
    let files = fs::read_dir(directory).expect("the server writes such a file");
    let files = files.map(|file| file.expect("a file").path());
    let mut files: Vec<_> = files
        .filter(|file| file.to_string_lossy().ends_with(".incr.aof"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 1, "it was written anew: {files:?}");
    let text = fs::read(&files[0]).expect("the file");
    let mut rest = &*text;
    // The last one may be half written.
    std::iter::from_fn(|| command(&mut rest)).collect()
}

fn command(rest: &mut &[u8]) -> Option<Vec<String>> {
    let words = number(rest, b'*')?;
    (0..words)
        .map(|_| {
            let length = number(rest, b'$')?;
            let word = rest.get(..length)?;
            *rest = rest.get(length + 2..)?;
            Some(String::from_utf8_lossy(word).into_owned())
        })
        .collect()
}

fn number(rest: &mut &[u8], begin: u8) -> Option<usize> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = rest[..end].strip_prefix(&[begin])?;
    *rest = &rest[end + 2..];
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// What is known of a task.
#[derive(Default)]
struct Task {
    number: u64,
    state: String,
    attempt: u32,
    holder: String,
}

struct Books {
    /// How the store's keys begin.
    begin: String,
    /// By the keys.
    tasks: BTreeMap<String, Task>,
    records: Vec<Record>,
}

impl Books {
    fn new(prefix: &str) -> Self {
        Self {
            begin: format!("{prefix}:"),
            tasks: BTreeMap::new(),
            records: Vec::new(),
        }
    }

    fn write(&mut self, command: &[String]) {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        let [verb, key, rest @ ..] = words.as_slice() else {
            return;
        };
        let Some(own) = key.strip_prefix(&self.begin) else {
            return;
        };
        match (verb.to_ascii_uppercase().as_str(), rest) {
            ("HSET" | "HMSET", fields) => {
                let task = self.tasks.entry(own.to_owned()).or_default();
                for pair in fields.chunks_exact(2) {
                    match pair {
                        ["data", data] => {
                            let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
                            task.number = data["number"].as_u64().unwrap_or(0);
                            "waiting".clone_into(&mut task.state);
                        }
                        ["pb", holder] => (*holder).clone_into(&mut task.holder),
                        _ => {}
                    }
                }
            }
            ("HINCRBY", ["ats", by]) => {
                let task = self.tasks.entry(own.to_owned()).or_default();
                let by: i32 = by.parse().expect("a number");
                task.attempt = task.attempt.saturating_add_signed(by);
                "running".clone_into(&mut task.state);
            }
            ("ZADD", [score, id]) => {
                let Some((queue, set)) = own.split_once(':') else {
                    return;
                };
                let state = match set {
                    "completed" => "completed",
                    "failed" => "discarded",
                    "#cancelled" => "cancelled",
                    _ => return,
                };
                self.ended(&format!("{queue}:{id}"), state, score);
            }
            _ => {}
        }
    }

    fn ended(&mut self, key: &str, state: &str, at: &str) {
        let task = self.tasks.get_mut(key).expect("it was stored before");
        let before = std::mem::replace(&mut task.state, state.to_owned());
        if (&*before, state) == ("discarded", "cancelled") {
            // Of one end, in two sets.
            if let Some(record) = self.records.last_mut() {
                state.clone_into(&mut record.after);
            }
            return;
        }
        self.records.push(Record {
            number: task.number,
            before,
            after: state.to_owned(),
            attempt: task.attempt,
            at: at.parse().expect("a time"),
            holder: task.holder.clone(),
            writer: None,
        });
    }
}
