//! Each failure is one event of the log, and the hooks hear about it.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bg_runtime::{
    Background, BackgroundBuilder, Overflow, TaskContext, TaskExt, TaskFailure, background_task,
    named,
};
use tests::eventually;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// What this thread logs as text.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Text {
    fn here() -> (Self, DefaultGuard) {
        let text = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(LevelFilter::DEBUG)
            .with_writer(text.clone())
            .finish();
        (text, tracing::subscriber::set_default(subscriber))
    }

    fn lines_with(&self, part: &str) -> Vec<String> {
        let written = self.0.lock().unwrap();
        let written = String::from_utf8_lossy(&written);
        let lines = written.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }

    /// The events of the failures of a task.
    fn failures(&self, task: &str) -> Vec<String> {
        let mut lines = self.lines_with("kind=");
        lines.retain(|line| line.contains(&format!("task.name=\"{task}\"")));
        lines
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Text {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[background_task(name = "mail.send")]
async fn send_mail(to: String) -> Result<(), String> {
    Err(format!("no server takes {to}"))
}

#[background_task(name = "mail.note", on_error = heard)]
async fn note_mail() -> Result<(), &'static str> {
    Err("no pen")
}

fn heard(_: &TaskFailure) {}

#[background_task(name = "mail.panic", on_error = panics)]
async fn lose_mail() -> Result<(), &'static str> {
    Err("no letter box")
}

fn panics(_: &TaskFailure) {
    panic!("own hook");
}

/// A name, what gives a builder such a hook, and whether that hears of a failure.
type Hooked = (
    &'static str,
    fn(BackgroundBuilder) -> BackgroundBuilder,
    bool,
);

/// Every way in which a hook may hear of a failure, or not.
fn hooks() -> [Hooked; 6] {
    [
        ("sync", |builder| builder.on_error(|_| {}), true),
        (
            "sync, panics",
            |builder| builder.on_error(|_| panic!("hook")),
            false,
        ),
        (
            "async",
            |builder| builder.on_error_async(async |_| tokio::task::yield_now().await),
            true,
        ),
        (
            "async, panics at once",
            |builder| {
                builder.on_error_async(|failure| {
                    assert!(failure.will_retry(), "hook");
                    async {}
                })
            },
            false,
        ),
        (
            "async, panics later",
            |builder| {
                builder.on_error_async(async |_| {
                    tokio::task::yield_now().await;
                    panic!("hook");
                })
            },
            false,
        ),
        (
            "one panics, one hears",
            |builder| {
                builder
                    .on_error_async(async |_| panic!("hook"))
                    .on_error(|_| {})
            },
            true,
        ),
    ]
}

/// P-REPORT-5
#[tokio::test]
async fn each_failure_is_one_event_if_its_hooks_hear_it_or_panic() {
    for (how, add_hook, _) in hooks() {
        let (text, _guard) = Text::here();
        let background = add_hook(Background::builder()).build().unwrap();
        background.spawn(SendMail::new("ada")).await.unwrap_err();
        background.shutdown().await;
        let failures = text.failures("mail.send");
        assert_eq!(failures.len(), 1, "{how}: {failures:#?}");
        for part in [
            "ERROR",
            "no server takes ada",
            r#"to: \"ada\""#,
            "background task failed",
        ] {
            assert!(failures[0].contains(part), "{how}: {failures:?}");
        }
        let panicked = text.lines_with("the error hook panicked").len();
        let expected = usize::from(how.contains("panics"));
        assert_eq!(panicked, expected, "{how}");
    }
}

/// P-REPORT-6
#[tokio::test]
async fn without_the_log_only_what_no_hook_heard_is_logged() {
    for (how, add_hook, hears) in hooks() {
        let (text, _guard) = Text::here();
        let builder = Background::builder().log_failures(false);
        let background = add_hook(builder).build().unwrap();
        background.spawn(SendMail::new("ada")).await.unwrap_err();
        background.shutdown().await;
        let failures = text.failures("mail.send");
        assert_eq!(failures.len(), usize::from(!hears), "{how}: {failures:#?}");
        assert!(
            failures.iter().all(|line| line.contains(r#"to: \"ada\""#)),
            "{how}: {failures:#?}"
        );
    }
}

/// P-REPORT-6
#[tokio::test]
async fn without_the_log_a_failure_of_a_hooks_task_is_logged() {
    let (text, _guard) = Text::here();
    let cell = Arc::new(std::sync::OnceLock::<Background>::new());
    let handle = cell.clone();
    let background = Background::builder()
        .log_failures(false)
        .on_error(move |_| {
            let alert = named("alert", async { Err::<(), _>("no network") });
            drop(handle.get().unwrap().spawn(alert));
        })
        .build()
        .unwrap();
    cell.set(background.clone()).unwrap();
    background.spawn(SendMail::new("ada")).await.unwrap_err();
    eventually("both have failed", || background.stats().failed == 2).await;
    assert_eq!(text.failures("mail.send").len(), 0);
    assert_eq!(text.failures("alert").len(), 1);
}

/// P-REPORT-6
#[test]
fn without_the_log_a_failure_whose_hook_has_no_runtime_is_logged() {
    for log_failures in [true, false] {
        let (text, _guard) = Text::here();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let background = Background::builder()
            .log_failures(log_failures)
            .on_error_async(|_| pending())
            .build()
            .unwrap();
        runtime.block_on(async {
            drop(background.spawn(named("left-behind", pending::<()>())));
            tokio::task::yield_now().await;
        });
        drop(runtime);
        assert_eq!(background.stats().aborted, 1);
        let failures = text.failures("left-behind");
        assert_eq!(failures.len(), 1, "{log_failures}: {failures:#?}");
    }
}

/// P-REPORT-6
#[tokio::test]
async fn a_tasks_own_hook_counts_as_a_hook_that_heard() {
    let (text, _guard) = Text::here();
    for (log_failures, logged) in [(true, [1, 1]), (false, [1, 2])] {
        let background = Background::builder().log_failures(log_failures).build();
        let background = background.unwrap();
        background.spawn(NoteMail).await.unwrap_err();
        background.spawn(LoseMail).await.unwrap_err();
        let seen = [text.failures("mail.note"), text.failures("mail.panic")];
        assert_eq!(seen.each_ref().map(Vec::len), logged, "{seen:#?}");
    }
}

/// P-REPORT-6
#[tokio::test]
async fn without_log_and_hooks_a_failure_is_counted_and_handed_to_its_handle() {
    let (text, _guard) = Text::here();
    let background = Background::builder().log_failures(false).build().unwrap();
    let failure = background.spawn(SendMail::new("ada")).await.unwrap_err();
    assert_eq!(failure.error().to_string(), "no server takes ada");
    assert_eq!(background.stats().failed, 1);
    assert_eq!(text.failures("mail.send").len(), 0);
}

#[tokio::test]
async fn a_task_that_a_limit_refuses_is_a_warning_and_no_error() {
    let (text, _guard) = Text::here();
    let builder = Background::builder().max_pending(1, Overflow::Reject);
    let background = builder.on_error(|_| {}).build().unwrap();
    drop(background.spawn(named("waits", async {}).delay(Duration::from_secs(3600))));
    background.spawn(SendMail::new("ada")).await.unwrap_err();
    let failures = text.failures("mail.send");
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert!(failures[0].contains(" WARN "), "{failures:?}");
    assert!(failures[0].contains("background task rejected"));
}

#[background_task(name = "flaky", retries = 3, backoff = "1s")]
async fn flaky(successes: u32, #[context] cx: TaskContext) -> Result<(), &'static str> {
    tracing::info!("run {}", cx.attempt());
    if cx.attempt() > 4 - successes {
        return Ok(());
    }
    Err("no luck yet")
}

/// P-TRACE-3
#[tokio::test(start_paused = true)]
async fn no_line_of_a_text_log_shows_the_attempt_of_a_retried_task_twice() {
    let (text, _guard) = Text::here();
    let background = Background::builder().build().unwrap();
    background.spawn(Flaky::new(1)).await.unwrap();
    background.spawn(Flaky::new(0)).await.unwrap_err();

    let lines = text.lines_with("flaky");
    for line in &lines {
        assert!(line.matches("task.attempt=").count() <= 1, "{line}");
    }
    for attempt in 1..=4 {
        let run = text.lines_with(&format!("run {attempt}"));
        let shown = format!("task.attempt={attempt}");
        assert_eq!(run.len(), 2, "{lines:#?}");
        assert!(run.iter().all(|line| line.contains(&shown)), "{run:#?}");
    }
    assert_eq!(text.lines_with("and will run again").len(), 6);
    assert_eq!(text.failures("flaky").len(), 7, "one for each failed run");
}
