//! A `#[secret]` argument is shown nowhere: not in the log, not in a failure, not in a test's message, not
//! by the `Debug` of anything.

use std::fmt::{Debug, Display};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Router, routing};
use bg_runtime::testing::Recorder;
use bg_runtime::{
    Background, BackgroundTasks, FailureKind, IntoTask, Overflow, Task, TaskContext, TaskExt,
    TaskFailure, after_response, background_task, named, tasks,
};
use futures_util::future::pending;
use tests::tasks::respond_with;
use tower::ServiceExt;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

const SECRET: &str = "hunter2";
const SECRET_DEFAULT: &str = "correct-horse";
const SECRET_NUMBER: u64 = 271_828_182_845;

#[derive(Debug, Clone, PartialEq)]
enum End {
    Succeed,
    Fail,
    Panic,
    Never,
}

#[background_task(
    name = "secrets.log_in",
    retries = 1,
    backoff = "1ms",
    timeout = "20ms",
    key = user,
    max_per_key = 2,
    max_pending_per_key = 2
)]
async fn log_in(
    user: &str,
    end: End,
    #[secret] password: &str,
    #[secret] pin: u64,
    #[secret]
    #[default = SECRET_DEFAULT]
    salt: &str,
    #[context] cx: &TaskContext,
) -> Result<(), &'static str> {
    // The arguments are used, and not shown.
    assert!(user.len() + password.len() + salt.len() > 0 && pin > 0);
    tracing::info!(?cx, "a task at work");
    cx.progress(1, 2, "half way");
    match end {
        End::Succeed => Ok(()),
        End::Fail => Err("no luck"),
        End::Panic => panic!("out of luck"),
        End::Never => pending().await,
    }
}

/// A task of this user.
fn visit(user: &str, end: End) -> LogIn {
    LogIn::new(user, end, SECRET, SECRET_NUMBER)
}

/// All that was logged and said.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Everything that this thread logs goes there, while the guard lives.
    fn here() -> (Self, DefaultGuard) {
        let output = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(output.clone())
            .finish();
        (output, tracing::subscriber::set_default(subscriber))
    }

    fn push(&self, text: &str) {
        self.0.lock().unwrap().extend_from_slice(text.as_bytes());
    }

    fn debug(&self, value: &impl Debug) {
        self.push(&format!("{value:?}\n{value:#?}\n"));
    }

    fn all(&self, value: &(impl Debug + Display)) {
        self.debug(value);
        self.push(&format!("{value}\n"));
    }

    fn failure(&self, failure: &TaskFailure) {
        self.all(failure);
        self.all(&failure.error());
        self.debug(&failure.arguments());
        self.debug(&failure.task());
        self.debug(&failure.skipped());
        self.debug(&failure.request());
    }

    /// The message of an assertion that fails.
    fn panic(&self, assertion: impl FnOnce()) {
        let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("it fails");
        self.push(panic.downcast_ref::<String>().expect("a message"));
    }

    /// Fails if a secret is in it, or if what is beside the secrets is not.
    #[track_caller]
    fn assert_discreet(&self, expected: &[&str]) {
        let output = self.0.lock().unwrap().clone();
        let output = String::from_utf8_lossy(&output);
        for expected in expected {
            assert!(output.contains(expected), "no {expected:?} in {output}");
        }
        let number = SECRET_NUMBER.to_string();
        for secret in [SECRET, SECRET_DEFAULT, &number] {
            let lines: Vec<_> = output
                .lines()
                .filter(|line| line.contains(secret))
                .collect();
            assert!(lines.is_empty(), "{secret} is in {lines:#?}");
        }
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

async fn failing(tasks: BackgroundTasks) -> StatusCode {
    tasks.add_task(visit("skipped", End::Succeed));
    after_response(visit("skipped, too", End::Succeed)).unwrap();
    StatusCode::IM_A_TEAPOT
}

/// Ends tasks in every way there is, and collects what is said of them.
async fn end_in_every_way(background: &Background, output: &Output) -> Vec<FailureKind> {
    let mut kinds = Vec::new();
    for end in [End::Succeed, End::Fail, End::Panic, End::Never] {
        let handle = background.spawn(visit("ada", end));
        output.debug(&handle);
        output.debug(&handle.progress());
        if let Err(failure) = handle.await {
            output.failure(&failure);
            kinds.push(failure.kind());
        }
    }
    let aborted = background.spawn(visit("ada", End::Never));
    aborted.abort();
    let failure = aborted.await.unwrap_err();
    output.failure(&failure);
    kinds.push(failure.kind());

    let _waiting = [1, 2].map(|_| background.spawn(visit("grace", End::Succeed)));
    let refused = background
        .spawn(visit("grace", End::Succeed))
        .await
        .unwrap_err();
    output.failure(&refused);
    kinds.push(refused.kind());

    respond_with(
        background,
        tasks![visit("ada", End::Fail), visit("behind", End::Succeed)],
    )
    .await;
    let app = Router::new()
        .route("/", routing::get(failing))
        .layer(background.layer());
    drop(app.oneshot(Request::new(Body::empty())).await.unwrap());
    drop(tasks![visit("nowhere", End::Succeed)]);
    output.all(&after_response(visit("ada", End::Succeed)).unwrap_err());
    kinds
}

async fn shut_down(background: Background, output: &Output) {
    let slow = named("slow", pending::<()>());
    let both = BackgroundTasks::new();
    both.add_task(slow);
    both.add_task(visit("unfinished", End::Never));
    output.debug(&both);
    respond_with(&background, both).await;
    let late = background.spawn(
        visit("running", End::Never)
            .timeout(Duration::MAX)
            .retries(0),
    );
    tokio::task::yield_now().await;
    output.debug(&background);
    let report = background.shutdown().await;
    assert!(!report.is_clean());
    output.all(&report);
    for task in report.unfinished() {
        output.all(task);
    }
    output.failure(&late.await.unwrap_err());
    output.failure(
        &background
            .spawn(visit("late", End::Succeed))
            .await
            .unwrap_err(),
    );
}

/// P-SECRET-1
#[tokio::test(start_paused = true)]
async fn a_secret_is_in_no_log_line_and_in_nothing_that_can_be_shown() {
    let (output, _guard) = Output::here();
    let told = output.clone();
    let builder = || {
        Background::builder()
            .drain_timeout(Duration::from_secs(1))
            .on_span(|task, origin| tracing::info!(?task, ?origin, "a task is accepted"))
    };
    let hooked = builder()
        .on_error(move |failure| told.failure(failure))
        .on_error_async(async |failure: TaskFailure| tracing::error!(%failure, ?failure, "told"));
    // Failures that no hook hears of are logged.
    for builder in [hooked, builder()] {
        output.debug(&builder);
        let background = builder.build().unwrap();
        let kinds = end_in_every_way(&background, &output).await;
        assert_eq!(
            kinds,
            [
                FailureKind::Error,
                FailureKind::Panic,
                FailureKind::Timeout,
                FailureKind::Aborted,
                FailureKind::Rejected
            ]
        );
        output.debug(&background.tasks());
        shut_down(background, &output).await;
    }
    output.debug(&LogIn::DEF);
    output.debug(&visit("ada", End::Succeed).into_task());
    output.assert_discreet(&[
        "end: Fail, password: ***, pin: ***, salt: ***",
        "the key `grace`",
        "skipped, too",
        "a task at work",
        "half way",
        "background task finished",
        "background task rejected",
        "and will run again",
    ]);
}

/// P-SECRET-1
#[tokio::test]
async fn a_secret_is_in_no_message_of_a_failed_assertion() {
    let (output, _guard) = Output::here();
    let builder = Background::builder().max_pending(2, Overflow::Reject);
    let recorder = Recorder::from_builder(builder).unwrap();
    let expected = || visit("ada", End::Fail);
    recorder.spawn(expected());
    recorder.spawn(visit("other", End::Succeed));
    recorder.spawn(visit("refused", End::Succeed));
    output.debug(&recorder);
    let other = LogIn::new("ada", End::Fail, "another", SECRET_NUMBER);
    output.panic(|| recorder.assert_queued(other));
    output.panic(|| recorder.assert_queued(visit("nobody", End::Fail)));
    output.panic(|| recorder.assert_queued_times::<LogIn>(7));
    output.panic(|| recorder.assert_not_queued::<LogIn>());
    output.panic(|| recorder.assert_nothing_queued());
    for failure in recorder.run_all().await {
        output.failure(&failure);
    }
    output.debug(&recorder);
    output.assert_discreet(&[
        r#"expected: secrets.log_in(user: "nobody", end: Fail, password: ***"#,
        "they differ in what is not shown",
        "no luck",
    ]);
}
