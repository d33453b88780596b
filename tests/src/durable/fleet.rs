//! Several processes that share a store, and what their tasks have done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use super::Place;
use crate::{eventually, within};

/// One process, which is killed with this.
#[derive(Debug)]
pub struct Node {
    process: Child,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl Node {
    /// Starts a process of a [program](super::run) of a fleet, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub async fn start(program: &Path, role: &str, place: &Place, evidence: &Evidence) -> Self {
        let mut process = Command::new(program)
            .args([role, &place.to_argument()])
            .arg(&evidence.0)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let output = process.stdout.take().expect("it is piped");
        let mut output = BufReader::new(output);
        let mut ready = String::new();
        within("a node", output.read_line(&mut ready))
            .await
            .expect("its output");
        let port = ready.trim().strip_prefix("ready ");
        let port = port.unwrap_or_else(|| panic!("a node said {ready:?}"));
        Self {
            port: port.parse().expect("a port"),
            process,
            output,
        }
    }

    /// Kills it, as the system does: with SIGKILL.
    ///
    /// # Panics
    ///
    /// Panics if it has ended before.
    pub async fn kill(mut self) {
        let ended = self.process.try_wait().expect("its state");
        assert!(ended.is_none(), "it ended by itself: {ended:?}");
        self.process.kill().await.expect("it can be killed");
    }

    /// Sends it a signal: `TERM`, `STOP`, `CONT`.
    ///
    /// # Panics
    ///
    /// Panics if it has ended before.
    pub async fn signal(&self, signal: &str) {
        let id = self.process.id().expect("it runs").to_string();
        let status = Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .await;
        assert!(status.expect("there is a `kill`").success());
    }

    /// Asks it to stop, and returns its report.
    ///
    /// # Panics
    ///
    /// Panics if it does not end well.
    pub async fn stop(mut self) -> String {
        self.signal("TERM").await;
        let mut report = String::new();
        within("the report", self.output.read_to_string(&mut report))
            .await
            .expect("its output");
        let status = within("the end", self.process.wait())
            .await
            .expect("its status");
        assert!(status.success(), "{status}: {report}");
        report
    }

    /// Sends it a request, and returns the status of its response; `None` if there is none, because it died.
    pub async fn post(&self, path: &str) -> Option<u16> {
        post(self.port, path).await
    }

    /// The number of the process.
    ///
    /// # Panics
    ///
    /// Panics if it has ended.
    pub fn process(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// The port that it listens on, if it is a server.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Sends a request to a server that may die, and returns the status of its response.
pub async fn post(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.ok()?;
    let response = String::from_utf8_lossy(&response);
    response.split(' ').nth(1)?.parse().ok()
}

/// The runs of numbered tasks that have ended: by the number and the attempt, when, in milliseconds since 1970.
pub type Runs = BTreeMap<u64, BTreeMap<u32, u64>>;

/// The file into which the tasks of a fleet write what they do.
#[derive(Debug)]
pub struct Evidence(PathBuf);

impl Evidence {
    /// A file that is not there yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until somebody has written this line.
    pub async fn reached(&self, line: &str) {
        eventually(line, || self.lines().iter().any(|other| other == line)).await;
    }

    /// Waits until somebody has written a line with this text.
    pub async fn reached_with(&self, text: &str) {
        eventually(text, || self.lines().iter().any(|line| line.contains(text))).await;
    }

    /// The runs of numbered tasks that have ended.
    ///
    /// # Panics
    ///
    /// Panics if a line of an end is none of a numbered task's.
    pub fn ended(&self) -> Runs {
        let mut ended = Runs::new();
        for line in self.lines() {
            let Some(end) = line.strip_prefix("ended ") else {
                continue;
            };
            let words: Vec<_> = end.split(' ').collect();
            let [number, attempt, at] = words.as_slice() else {
                panic!("{line:?} is no line of a numbered task");
            };
            let attempts = ended.entry(number.parse().expect("a number")).or_default();
            attempts.insert(
                attempt.parse().expect("an attempt"),
                at.parse().expect("a time"),
            );
        }
        ended
    }

    /// How often a run began.
    pub fn begun(&self) -> usize {
        let lines = self.lines().into_iter();
        lines.filter(|line| line.starts_with("begun")).count()
    }
}
