//! The messages of failed assertions.

use std::fmt;

/// The message of a failed assertion: what was expected, and what is recorded instead.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) problem: &'static str,
    pub(super) expected: String,
    pub(super) queued: Vec<String>,
    /// Each with its reason.
    pub(super) skipped: Vec<String>,
    pub(super) note: Option<&'static str>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem)?;
        write!(f, "\nexpected: {}", self.expected)?;
        if self.queued.is_empty() {
            f.write_str("\n  queued: nothing")?;
        }
        column(f, "  queued:", &self.queued)?;
        column(f, " skipped:", &self.skipped)?;
        match self.note {
            Some(note) => write!(f, "\n    note: {note}"),
            None => Ok(()),
        }
    }
}

/// Writes lines below each other, the first of them with a label.
fn column(f: &mut fmt::Formatter<'_>, label: &str, lines: &[String]) -> fmt::Result {
    for (position, line) in lines.iter().enumerate() {
        let label = if position == 0 { label } else { "" };
        write!(f, "\n{label:9} {line}")?;
    }
    Ok(())
}

/// Shows a task like a call of its function: `emails::send_email(to: "a@b.c")`.
pub(super) fn call(name: &str, arguments: Option<&str>) -> String {
    format!("{name}({})", arguments.unwrap_or(".."))
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::fmt::Debug;

    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::{Request, StatusCode};
    use tower::ServiceExt;

    use crate::contain::contain;
    use crate::task::macro_support::SECRET;
    use crate::testing::Recorder;
    use crate::{
        Background, BackgroundTasks, Overflow, Task, TaskContext, TaskDef, TaskExt, TaskResult,
        named,
    };

    #[derive(Clone, PartialEq)]
    struct SendEmail {
        to: &'static str,
        subject: &'static str,
        code: u32,
    }

    fn email(subject: &'static str) -> SendEmail {
        SendEmail {
            to: "a@b.c",
            subject,
            code: 7,
        }
    }

    impl Task for SendEmail {
        const DEF: &'static TaskDef = &TaskDef::new("emails::send_email");

        async fn run(self, _: TaskContext) -> TaskResult {
            Ok(())
        }

        fn arguments(&self) -> Option<impl Debug> {
            let arguments = [
                ("to", Some(&self.to as _)),
                ("subject", Some(&self.subject as _)),
                ("code", SECRET),
            ];
            crate::task::macro_support::arguments(arguments)
        }
    }

    /// Has no arguments, so there is nothing that could not be shown.
    #[derive(PartialEq)]
    struct Tick;

    impl Task for Tick {
        const DEF: &'static TaskDef = &TaskDef::new("clock::tick");

        async fn run(self, _: TaskContext) -> TaskResult {
            Ok(())
        }

        fn arguments(&self) -> Option<impl Debug> {
            crate::task::macro_support::arguments([])
        }
    }

    fn message(assertion: impl FnOnce()) -> String {
        contain(assertion).expect_err("it fails").to_string()
    }

    #[test]
    fn a_failed_assertion_shows_what_was_expected_and_what_was_queued() {
        let recorder = Recorder::new();
        recorder.spawn(email("hello"));
        recorder.spawn(Tick);
        recorder.spawn(named("mailer.ping", async {}));
        assert_eq!(
            message(|| recorder.assert_queued(email("welcome"))),
            r#"no such task was queued
expected: emails::send_email(to: "a@b.c", subject: "welcome", code: ***)
  queued: emails::send_email(to: "a@b.c", subject: "hello", code: ***)
          clock::tick()
          mailer.ping(..)"#
        );
        assert_eq!(
            message(|| recorder.assert_queued_times::<SendEmail>(2)),
            r#"a different number of these tasks was queued
expected: 2 × emails::send_email
  queued: emails::send_email(to: "a@b.c", subject: "hello", code: ***)
          clock::tick()
          mailer.ping(..)"#
        );
        assert_eq!(
            message(|| recorder.assert_queued_times::<Tick>(0)),
            r#"a different number of these tasks was queued
expected: 0 × clock::tick
  queued: emails::send_email(to: "a@b.c", subject: "hello", code: ***)
          clock::tick()
          mailer.ping(..)"#
        );
        assert_eq!(
            message(|| recorder.assert_not_queued::<Tick>()),
            r#"such a task was queued
expected: no clock::tick
  queued: emails::send_email(to: "a@b.c", subject: "hello", code: ***)
          clock::tick()
          mailer.ping(..)"#
        );
        assert_eq!(
            message(|| recorder.assert_nothing_queued()),
            r#"tasks were queued
expected: nothing
  queued: emails::send_email(to: "a@b.c", subject: "hello", code: ***)
          clock::tick()
          mailer.ping(..)"#
        );
    }

    #[tokio::test]
    async fn a_failed_assertion_shows_why_tasks_of_the_type_were_skipped() {
        let handler = |tasks: BackgroundTasks| async move {
            tasks.add_task(email("welcome"));
            tasks.add_task(Tick);
            tasks.add_task(Tick.always());
            StatusCode::NOT_FOUND
        };
        let recorder = Recorder::new();
        let app = Router::new().route("/", get(handler));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let app = app.layer(recorder.layer());
        app.oneshot(request).await.unwrap();
        assert_eq!(
            message(|| recorder.assert_queued(email("welcome"))),
            r#"no such task was queued
expected: emails::send_email(to: "a@b.c", subject: "welcome", code: ***)
  queued: clock::tick()
 skipped: emails::send_email(to: "a@b.c", subject: "welcome", code: ***): the response is an error (404 Not Found); `.always()` runs the task anyway"#
        );
    }

    #[test]
    fn a_failed_assertion_shows_why_tasks_of_the_type_were_refused() {
        let builder = Background::builder().max_pending(1, Overflow::Reject);
        let recorder = Recorder::from_builder(builder).unwrap();
        recorder.spawn(Tick);
        recorder.spawn(email("one"));
        recorder.spawn(email("two"));
        assert_eq!(
            message(|| recorder.assert_queued_times::<SendEmail>(2)),
            r#"a different number of these tasks was queued
expected: 2 × emails::send_email
  queued: clock::tick()
 skipped: emails::send_email(to: "a@b.c", subject: "one", code: ***): `max_pending` is reached: no more than 1 may wait to run
          emails::send_email(to: "a@b.c", subject: "two", code: ***): `max_pending` is reached: no more than 1 may wait to run"#
        );
    }

    #[test]
    fn a_failed_assertion_says_that_tasks_differ_in_a_secret() {
        let recorder = Recorder::new();
        recorder.spawn(email("hello"));
        let other = SendEmail {
            code: 8,
            ..email("hello")
        };
        assert_eq!(
            message(|| recorder.assert_queued(other)),
            r#"no such task was queued
expected: emails::send_email(to: "a@b.c", subject: "hello", code: ***)
  queued: emails::send_email(to: "a@b.c", subject: "hello", code: ***)
    note: they differ in what is not shown, such as a secret"#
        );
    }

    #[test]
    fn a_failed_assertion_asks_for_the_layer_if_no_task_was_seen() {
        let recorder = Recorder::new();
        assert_eq!(
            message(|| recorder.assert_queued(Tick)),
            r"no such task was queued
expected: clock::tick()
  queued: nothing
    note: the recorder has seen no task at all: is `recorder.layer()` on the app?"
        );
        recorder.spawn(email("hello")).abort();
        assert_eq!(
            message(|| recorder.assert_queued(Tick)),
            r"no such task was queued
expected: clock::tick()
  queued: nothing"
        );
    }
}
