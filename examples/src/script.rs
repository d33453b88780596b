//! What `--once` does to an example, and what the example must answer.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::Request;
use crate::connection::Connection;

/// How long a step may take on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(20);

/// The warning for a task that seems to block its thread. On a machine that is busy with other
/// things that may be any task, so a script need not expect it.
const SLOW_POLL: &str = "a background task blocks its thread for";

pub(crate) const CTRL_C: &str = "ctrl-c";

/// One step of a script: a request, or ctrl-c, and what becomes of it.
#[derive(Debug)]
pub struct Step {
    /// `None` for ctrl-c.
    request: Option<Request>,
    /// The first is that of the request and its answer.
    strands: Vec<Strand>,
}

/// Lines that come in this order.
type Strand = VecDeque<Line>;

/// A line that contains all of these texts.
#[derive(Debug, Clone)]
struct Line(Vec<String>);

impl Request {
    /// Makes the request a step, with an answer of this status.
    #[must_use]
    pub fn answered(self, status: u16) -> Step {
        self.answered_with(status, "")
    }

    /// Like [`answered`](Self::answered), with an answer that contains this text.
    #[must_use]
    pub fn answered_with(self, status: u16, text: &str) -> Step {
        let arrival = Line::with(format!("--> {} {}", self.method, self.path));
        let answer = Line(vec![format!("<-- {status} "), text.to_owned()]);
        Step {
            request: Some(self),
            strands: vec![Strand::from([arrival, answer])],
        }
    }
}

impl Step {
    /// Stops the server: the end of a script. The report counts as a line.
    #[must_use]
    pub fn ctrl_c() -> Self {
        Self {
            request: None,
            strands: vec![Strand::from([Line::with(CTRL_C)])],
        }
    }

    /// After that the example logs lines that contain these texts, in this order, and no others.
    #[must_use]
    pub fn then(mut self, lines: &[&str]) -> Self {
        self.strands[0].extend(strand(lines));
        self
    }

    /// Beside that it logs lines that contain these texts, in this order. Where they come among the
    /// other lines of the step is left open: before the answer, after it, or in between.
    #[must_use]
    pub fn beside(mut self, lines: &[&str]) -> Self {
        self.strands.push(strand(lines));
        self
    }

    /// Beside that it logs lines that contain these texts, in any order.
    #[must_use]
    pub fn in_any_order(self, lines: &[&str]) -> Self {
        lines.iter().fold(self, |step, line| step.beside(&[line]))
    }

    /// The same step, for a reader to type.
    pub(crate) fn command(&self, server: &str) -> String {
        match &self.request {
            Some(request) => request.curl(server),
            None => CTRL_C.to_owned(),
        }
    }
}

fn strand(lines: &[&str]) -> Strand {
    lines.iter().copied().map(Line::with).collect()
}

impl Line {
    fn with(text: impl Into<String>) -> Self {
        Self(vec![text.into()])
    }

    fn is(&self, line: &str) -> bool {
        self.0.iter().all(|text| line.contains(text))
    }
}

/// Takes each step when all that the one before it leads to has happened. The requests go over one
/// connection.
pub(crate) async fn play(
    script: Vec<Step>,
    server: &str,
    recorded: &mut UnboundedReceiver<String>,
    stop: &CancellationToken,
) -> Result<(), String> {
    let connection = Connection::open(server).await;
    let mut connection = connection.map_err(|error| error.to_string())?;
    for step in script {
        let command = step.command(server);
        take(step, &mut connection, recorded, stop)
            .await
            .map_err(|error| format!("{command}\n  {error}"))?;
    }
    Ok(())
}

async fn take(
    step: Step,
    connection: &mut Connection<'_>,
    recorded: &mut UnboundedReceiver<String>,
    stop: &CancellationToken,
) -> Result<(), String> {
    let mut missing = step.strands;
    let taken = async {
        match &step.request {
            Some(request) => {
                let sent = connection.send(request).await;
                sent.map_err(|error| error.to_string())?;
            }
            None => {
                info!("{CTRL_C}");
                stop.cancel();
            }
        }
        while missing.iter().any(|strand| !strand.is_empty()) {
            let line = recorded.recv().await.unwrap_or_default();
            if !strike(&line, &mut missing) && !line.contains(SLOW_POLL) {
                return Err(format!("expected {}, and got {line:?}", next_of(&missing)));
            }
        }
        Ok(())
    };
    match timeout(LIMIT, taken).await {
        Ok(taken) => taken,
        Err(_) => Err(format!("no {} within {LIMIT:?}", next_of(&missing))),
    }
}

/// Fails if anything has come that no step has said.
pub(crate) fn end(mut recorded: UnboundedReceiver<String>) -> Result<(), String> {
    while let Ok(line) = recorded.try_recv() {
        if !line.contains(SLOW_POLL) {
            return Err(format!("not in the script: {line}"));
        }
    }
    Ok(())
}

/// Strikes the line off a strand of which it is the next. Returns `false` if there is none.
fn strike(line: &str, missing: &mut [Strand]) -> bool {
    let is_next = |strand: &&mut Strand| strand.front().is_some_and(|next| next.is(line));
    let strand = missing.iter_mut().find(is_next);
    strand.and_then(VecDeque::pop_front).is_some()
}

/// What may come next, in words.
fn next_of(missing: &[Strand]) -> String {
    let next = missing.iter().filter_map(VecDeque::front);
    let next: Vec<_> = next
        .map(|Line(texts)| format!("{:?}", texts.concat()))
        .collect();
    next.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_played(step: &Step, lines: &[&str]) -> bool {
        let mut missing = step.strands.clone();
        lines.iter().all(|line| strike(line, &mut missing))
            && missing.iter().all(VecDeque::is_empty)
    }

    #[test]
    fn the_lines_of_a_strand_come_in_order_and_strands_in_any() {
        let step = Request::get("/")
            .answered(200)
            .then(&["c"])
            .beside(&["1", "2"]);
        assert!(is_played(
            &step,
            &["--> GET /", "<-- 200 OK", "c", "1", "2"]
        ));
        assert!(is_played(
            &step,
            &["--> GET /", "1", "<-- 200 OK", "2", "c"]
        ));
        assert!(!is_played(
            &step,
            &["--> GET /", "2", "<-- 200 OK", "1", "c"]
        ));
        assert!(!is_played(
            &step,
            &["--> GET /", "c", "<-- 200 OK", "1", "2"]
        ));
    }

    #[test]
    fn lines_of_in_any_order_may_come_in_any_order() {
        let step = Request::get("/").answered(200).in_any_order(&["a", "b"]);
        assert!(is_played(&step, &["--> GET /", "<-- 200 OK", "a", "b"]));
        assert!(is_played(&step, &["--> GET /", "b", "<-- 200 OK", "a"]));
        assert!(!is_played(&step, &["--> GET /", "<-- 200 OK", "a"]));
    }

    #[test]
    fn a_script_fails_if_a_line_is_missing_or_comes_twice() {
        let step = Request::get("/").answered(200).then(&["c"]);
        assert!(!is_played(&step, &["--> GET /", "<-- 200 OK"]));
        assert!(!is_played(&step, &["--> GET /", "<-- 200 OK", "c", "c"]));
    }

    #[test]
    fn answered_with_checks_the_status_and_the_text() {
        let step = Request::get("/").answered_with(200, "done");
        assert!(is_played(&step, &["--> GET /", "<-- 200 OK done"]));
        assert!(!is_played(&step, &["--> GET /", "<-- 200 OK"]));
        assert!(!is_played(&step, &["--> GET /", "<-- 202 Accepted done"]));
    }
}
