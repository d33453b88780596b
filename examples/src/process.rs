//! Another process of the same program, whose lines are shown on this one's timeline.

use std::env;
use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::info;

use crate::timeline;

/// Another process of this program. It is killed when this is dropped, and it ends by itself when this
/// process does, however that is: see [`until_stdin_ends`].
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Tells it to stop when it is closed.
    stdin: Option<ChildStdin>,
    lines: UnboundedReceiver<String>,
    id: u32,
}

impl Process {
    /// Starts this program with these arguments. Its lines are shown as those of `name`.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(name: &str, arguments: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().ok_or(io::ErrorKind::NotFound)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (tell, lines) = unbounded_channel();
        let name = name.to_owned();
        tokio::spawn(async move {
            let mut said = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = said.next_line().await {
                if line.starts_with("-->") {
                    timeline::restart();
                }
                if !line.is_empty() {
                    info!("{name} {id}: {line}");
                    let _ = tell.send(line);
                }
            }
        });
        Ok(Self {
            child,
            stdin,
            lines,
            id,
        })
    }

    /// Its number, for a `kill`.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits for a line that contains this text, and returns it. What it says before that is passed over.
    ///
    /// # Errors
    ///
    /// If it ends first.
    pub async fn says(&mut self, text: &str) -> io::Result<String> {
        while let Some(line) = self.lines.recv().await {
            if line.contains(text) {
                return Ok(line);
            }
        }
        let error = format!("process {} ended and did not say {text:?}", self.id);
        Err(io::Error::other(error))
    }

    /// Waits for its next line, whatever that is.
    ///
    /// # Errors
    ///
    /// If it ends first.
    pub async fn next_line(&mut self) -> io::Result<String> {
        let ended = || io::Error::other(format!("process {} ended", self.id));
        self.lines.recv().await.ok_or_else(ended)
    }

    /// Ends it at once, and gives it no time for anything: SIGKILL.
    ///
    /// # Errors
    ///
    /// If it had ended before.
    pub async fn kill(&mut self) -> io::Result<()> {
        info!("kill -9 {}", self.id);
        self.child.start_kill()?;
        match self.child.wait().await?.success() {
            true => Err(io::Error::other("it had ended before")),
            false => Ok(()),
        }
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    ///
    /// If the operating system does not tell.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to stop, and waits until it has. Returns the lines that nobody has waited for.
    ///
    /// # Errors
    ///
    /// If it does not end well.
    pub async fn stop(mut self) -> io::Result<Vec<String>> {
        drop(self.stdin.take());
        let mut rest = Vec::new();
        while let Some(line) = self.lines.recv().await {
            rest.push(line);
        }
        let status = self.child.wait().await?;
        match status.success() {
            true => Ok(rest),
            false => Err(io::Error::other(format!("process {}: {status}", self.id))),
        }
    }
}

/// Completes when the process that has started this one asks it to stop, or is no more; and at ctrl-c,
/// which a terminal sends to both.
pub async fn until_stdin_ends() {
    let ended = async {
        let mut stdin = tokio::io::stdin();
        let mut nothing = [0; 64];
        while matches!(stdin.read(&mut nothing).await, Ok(1..)) {}
    };
    tokio::select! {
        () = ended => {}
        () = super::ctrl_c() => {}
    }
}
