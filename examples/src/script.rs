//! What `--once` does to an example, and what the example must answer.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::Request;

/// How long a step may take on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) const CTRL_C: &str = "ctrl-c";

/// One step of a script: a request, or ctrl-c, and what becomes of it.
#[derive(Debug)]
pub struct Step {
    /// With the status of its answer, and what that contains. `None` for ctrl-c.
    request: Option<(Request, u16, &'static str)>,
    lines: Vec<&'static str>,
}

impl Request {
    /// Makes the request a step, with an answer of this status.
    #[must_use]
    pub fn answered(self, status: u16) -> Step {
        self.answered_with(status, "")
    }

    /// The same, with an answer that contains this text.
    #[must_use]
    pub fn answered_with(self, status: u16, text: &'static str) -> Step {
        Step {
            request: Some((self, status, text)),
            lines: Vec::new(),
        }
    }
}

impl Step {
    /// Stops the server: the end of a script. The report counts as a line.
    #[must_use]
    pub fn ctrl_c() -> Self {
        Self {
            request: None,
            lines: Vec::new(),
        }
    }

    /// After that the example logs lines that contain these texts, in this order, and no others.
    #[must_use]
    pub fn then(self, lines: &[&'static str]) -> Self {
        Self {
            lines: lines.to_vec(),
            ..self
        }
    }

    /// The same step, for a reader to take.
    pub(crate) fn command(&self, server: &str) -> String {
        match &self.request {
            Some((request, ..)) => request.curl(server),
            None => CTRL_C.to_owned(),
        }
    }

    /// The lines that the log must have, each with all of these texts.
    fn expected(&self) -> Vec<Vec<String>> {
        let mut expected = match &self.request {
            Some((request, status, text)) => vec![
                vec![format!("--> {} {}", request.method, request.path)],
                vec![format!("<-- {status} "), (*text).to_owned()],
            ],
            None => vec![vec![CTRL_C.to_owned()]],
        };
        expected.extend(self.lines.iter().map(|&line| vec![line.to_owned()]));
        expected
    }
}

/// Takes each step when all that the one before it leads to has happened.
pub(crate) async fn play(
    script: Vec<Step>,
    server: &str,
    recorded: &mut UnboundedReceiver<String>,
    stop: &CancellationToken,
) -> Result<(), String> {
    for step in script {
        let taken = timeout(LIMIT, take(&step, server, recorded, stop)).await;
        taken
            .unwrap_or_else(|_| Err(format!("not all of {:?} within {LIMIT:?}", step.expected())))
            .map_err(|error| format!("{}\n  {error}", step.command(server)))?;
    }
    Ok(())
}

async fn take(
    step: &Step,
    server: &str,
    recorded: &mut UnboundedReceiver<String>,
    stop: &CancellationToken,
) -> Result<(), String> {
    match &step.request {
        Some((request, ..)) => {
            let sent = request.send(server).await;
            sent.map_err(|error| error.to_string())?;
        }
        None => {
            info!("{CTRL_C}");
            stop.cancel();
        }
    }
    for expected in step.expected() {
        let line = recorded.recv().await.unwrap_or_default();
        if !expected.iter().all(|text| line.contains(text)) {
            return Err(format!("expected {expected:?}, and got {line:?}"));
        }
    }
    Ok(())
}
