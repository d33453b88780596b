//! What a subscriber of `tracing` sees of a task.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing;
use bg_runtime::{
    Background, BackgroundTasks, BoxTask, IntoTask, Overflow, TaskContext, TaskExt, WithBackground,
    after_response, background_task, get, named, named_blocking, routes,
};
use futures_util::FutureExt;
use tests::{eventually, within};
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;
use tower_http::request_id::{MakeRequestId, RequestId, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Span, Subscriber, dispatcher, info_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Everything that happened, one line each. A task's span goes by the task's name.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    /// Records this thread while the guard lives.
    fn here() -> (Self, DefaultGuard) {
        let seen = Self::default();
        let subscriber = tracing_subscriber::registry().with(seen.clone());
        (seen, tracing::subscriber::set_default(subscriber))
    }

    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self, start: &str) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let lines = lines.iter().filter(|line| line.starts_with(start));
        lines.cloned().collect()
    }

    fn line(&self, start: &str) -> String {
        let first = self.lines(start).into_iter().next();
        first.unwrap_or_else(|| panic!("no {start:?} in {self:#?}"))
    }

    fn has(&self, start: &str) -> bool {
        !self.lines(start).is_empty()
    }

    /// Fails unless these happened, in this order.
    #[track_caller]
    fn assert_order<const N: usize>(&self, starts: [&str; N]) {
        let lines = self.0.lock().unwrap().clone();
        let position = |start: &str| lines.iter().position(|line| line.starts_with(start));
        let positions = starts.map(|start| position(start).ok_or(start));
        let all_there = positions.iter().all(Result::is_ok);
        assert!(
            all_there && positions.is_sorted(),
            "{starts:#?} are not in this order in {lines:#?}: {positions:?}"
        );
    }
}

impl Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.lock().unwrap().fmt(f)
    }
}

#[derive(Default)]
struct Fields {
    all: String,
    task_name: Option<String>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.all += &format!(" {}={value:?}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "task.name" {
            self.task_name = Some(value.to_owned());
        }
        self.record_debug(field, &value);
    }
}

/// The name of the task whose span it is.
struct TaskName(String);

fn name<S: Subscriber + for<'a> LookupSpan<'a>>(id: &Id, cx: &Context<'_, S>) -> String {
    let Some(span) = cx.span(id) else {
        return "a closed span".to_owned();
    };
    let extensions = span.extensions();
    let task = extensions.get::<TaskName>().map(|task| task.0.clone());
    task.unwrap_or_else(|| span.name().to_owned())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = cx.span(id).expect("the span that was just made");
        if let Some(task) = fields.task_name {
            span.extensions_mut().insert(TaskName(task));
        }
        let inside = span.parent().map(|outer| name(&outer.id(), &cx));
        let inside = inside.map_or_else(String::new, |outer| format!(" in {outer}"));
        self.push(format!("new {}{}{inside}", span.name(), fields.all));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        record.record(&mut fields);
        self.push(format!("record {}{}", name(id, &cx), fields.all));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, cx: Context<'_, S>) {
        self.push(format!("follows {} {}", name(id, &cx), name(follows, &cx)));
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = cx
            .event_span(event)
            .map_or("no span".to_owned(), |span| name(&span.id(), &cx));
        self.push(format!("event in {span}{}", fields.all));
    }

    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        self.push(format!("enter {}", name(id, &cx)));
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        self.push(format!("close {}", name(&id, &cx)));
    }
}

/// Sends a request, takes its whole response, and gives its status.
async fn answer(app: Router, path: &str) -> StatusCode {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    status
}

#[background_task(name = "visits.count")]
async fn count_visit(#[context] cx: TaskContext) {
    assert_eq!(cx.attempt(), 1);
    tracing::info!("counting");
}

#[background_task(
    name = "visits.newest",
    key = user,
    max_pending_per_key = 1,
    on_full = replace
)]
async fn newest(user: u64) {
    let _ = user;
}

#[background_task(
    name = "visits.once",
    key = user,
    max_unfinished_per_key = 1,
    on_full = ignore
)]
async fn once(user: u64) {
    let _ = user;
}

#[background_task(name = "visits.fail")]
async fn fail() -> Result<(), &'static str> {
    Err("no more\nvisits")
}

#[get("/visits/{id}")]
async fn visit(id: u64, tasks: BackgroundTasks) -> String {
    tasks.add_task(CountVisit);
    format!("visit {id}")
}

/// P-TRACE-1
#[tokio::test]
async fn a_task_has_a_span_that_follows_from_the_requests() {
    let (seen, _guard) = Seen::here();
    let app: Router = routes![visit].layer(TraceLayer::new_for_http());
    answer(app, "/visits/7").await;
    eventually("the span is closed", || seen.has("close visits.count")).await;

    let span = seen.line("new background_task");
    assert!(span.contains(r#"task.name="visits.count""#), "{span}");
    assert!(span.contains(r#"otel.name="visits.count""#), "{span}");
    assert!(span.contains("task.id="), "{span}");
    seen.line("record visits.count task.attempt=1");
    seen.line(r#"record visits.count http.route="/visits/{id}""#);
    seen.line("follows visits.count request");

    let finished = "event in visits.count message=background task finished";
    let event = seen.line(finished);
    assert!(event.contains(r#"outcome="completed""#), "{event}");
    assert!(event.contains("duration_ms="), "{event}");
    seen.assert_order([
        "new background_task",
        "close request",
        "event in visits.count message=counting",
        finished,
        "close visits.count",
    ]);
}

/// P-LIMIT-11, P-LIMIT-12
#[tokio::test]
async fn a_replaced_or_ignored_task_has_an_event_in_its_span_and_no_failure() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    let tasks = [
        background.spawn(Newest::new(7)),
        background.spawn(Newest::new(7)),
        background.spawn(Once::new(7)),
        background.spawn(Once::new(7)),
    ];
    let ended = tasks.map(FutureExt::now_or_never);
    assert!(ended.iter().filter(|ended| ended.is_some()).count() == 2);
    for (task, reason) in [
        ("newest", "a newer task of its key replaced it"),
        ("once", "there are enough tasks of its key already"),
    ] {
        let finished = format!("event in visits.{task} message=background task finished");
        let finished = seen.line(&finished);
        assert!(finished.contains(r#"outcome="skipped""#), "{finished}");
        assert!(finished.contains(&format!("reason={reason}")), "{finished}");
        let skipped = format!("event in visits.{task} message=background task skipped");
        assert!(!seen.has(&skipped), "{seen:?}");
    }
}

/// P-EXPIRY-1
#[tokio::test]
async fn a_task_that_expires_is_a_warning_in_the_log() {
    let levels = Levels::default();
    let subscriber = tracing_subscriber::registry().with(levels.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let background = Background::builder().build().unwrap();
    let task = named("late", async {}).expires_in(Duration::ZERO);
    background.spawn(task).await.unwrap_err();
    let levels = levels.0.lock().unwrap();
    assert!(levels.contains(&Level::WARN), "{levels:?}");
    assert!(!levels.contains(&Level::ERROR), "{levels:?}");
}

/// The levels of all events.
#[derive(Clone, Default)]
struct Levels(Arc<Mutex<Vec<Level>>>);

impl<S: Subscriber> Layer<S> for Levels {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }
}

/// P-REPORT-2
#[tokio::test]
async fn without_a_hook_a_failure_is_an_event_on_one_line() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    background.spawn(Fail).await.unwrap_err();

    let failed = seen.line("event in visits.fail message=background task failed");
    for field in [
        r#"task.name="visits.fail""#,
        "task.file=",
        "task.line=",
        "kind=error",
        r"error=no more\nvisits",
        "elapsed_ms=",
    ] {
        assert!(failed.contains(field), "{field} is not in {failed}");
    }
}

#[background_task(name = "visits.forget")]
async fn forget(place: String) -> Result<(), String> {
    Err(format!("{place} is unforgettable"))
}

/// P-REPORT-2
#[tokio::test]
async fn the_event_of_a_failure_shows_the_arguments() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    let forget = background.spawn(Forget::new("Venice"));
    forget.await.unwrap_err();
    let failed = seen.line("event in visits.forget message=background task failed");
    assert!(failed.contains(r#"place: \"Venice\""#), "{failed}");
}

/// P-ID-1
#[tokio::test]
async fn spans_and_events_show_the_id_that_the_handle_has() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    background.spawn(named("first", async {})).await.unwrap();
    let second = background.spawn(Fail);
    let id = format!("task.id={}", second.id());
    second.await.unwrap_err();
    for line in [
        seen.lines("new background_task").remove(1),
        seen.line("event in visits.fail message=background task failed"),
    ] {
        let shows_it = line.split(' ').any(|field| field == id);
        assert!(shows_it, "{id} is not in {line}");
    }
}

#[derive(Clone)]
struct Numbered;

impl MakeRequestId for Numbered {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        Some(RequestId::new(HeaderValue::from_static("req-7")))
    }
}

#[get("/places/{place}", background = named("route", async {}))]
async fn every_place(place: u64, tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(named("handler", async {}));
    after_response(named("anywhere", async {})).unwrap();
    place
        .to_string()
        .with_background(named("response", async {}))
}

#[tokio::test]
async fn the_span_names_the_route_and_the_request_id() {
    let set_request_id = SetRequestIdLayer::x_request_id(Numbered);
    let background = Background::builder().build().unwrap();
    let apps: [Router; 3] = [
        routes![every_place].layer(set_request_id.clone()),
        routes![every_place]
            .layer(background.layer())
            .layer(set_request_id.clone()),
        routes![every_place]
            .layer(set_request_id)
            .layer(background.layer()),
    ];
    for app in apps {
        let (seen, _guard) = Seen::here();
        answer(app, "/places/1").await;
        for task in ["route", "handler", "anywhere", "response"] {
            seen.line(&format!(r#"record {task} http.route="/places/{{place}}""#));
            seen.line(&format!(r#"record {task} request_id="req-7""#));
        }
    }

    let (seen, _guard) = Seen::here();
    answer(routes![every_place], "/places/1").await;
    assert!(seen.has("record route http.route"));
    assert!(!seen.has("record route request_id"), "{seen:#?}");
}

#[get("/towns/{town}", background = named("town", async {}))]
async fn every_town(town: u64) -> String {
    town.to_string()
}

#[tokio::test]
async fn a_task_that_was_queued_early_keeps_nothing_from_those_behind_it() {
    async fn queue_early(request: axum::extract::Request, next: Next) -> Response {
        after_response(named("early", async {})).unwrap();
        next.run(request).await
    }

    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    let app: Router = routes![every_place, every_town]
        .layer(SetRequestIdLayer::x_request_id(Numbered))
        .layer(from_fn(queue_early))
        .layer(background.layer());
    answer(app.clone(), "/places/1").await;
    answer(app, "/towns/1").await;
    assert!(!seen.has("record early request_id"), "{seen:#?}");
    seen.line(r#"record handler http.route="/places/{place}""#);
    seen.line(r#"record handler request_id="req-7""#);
    seen.line(r#"record town request_id="req-7""#);
}

#[background_task(name = "flaky", retries = 2, backoff = "5s")]
async fn flaky(#[context] cx: TaskContext) -> Result<(), &'static str> {
    tracing::info!("run {}", cx.attempt());
    match cx.attempt() {
        3 => Ok(()),
        _ => Err("no luck yet"),
    }
}

/// P-TRACE-3
#[tokio::test(start_paused = true)]
async fn each_run_of_a_retried_task_has_a_span_within_that_of_the_task() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    background.spawn(Flaky).await.unwrap();

    assert_eq!(seen.lines("new background_task ").len(), 1, "{seen:#?}");
    let failed = "event in flaky message=background task failed, and will run again";
    let failed_lines = seen.lines(failed);
    assert_eq!(failed_lines.len(), 2, "{seen:#?}");
    for line in failed_lines {
        assert!(line.contains("retry_in_ms=5000"), "{line}");
    }
    seen.assert_order([
        "new background_task_run task.attempt=1 in flaky",
        "event in background_task_run message=run 1",
        failed,
        "new background_task_run task.attempt=2 in flaky",
        "event in background_task_run message=run 2",
        "new background_task_run task.attempt=3 in flaky",
        "event in background_task_run message=run 3",
        "event in flaky message=background task finished",
        "record flaky task.attempt=3",
        "close flaky",
    ]);
    assert_eq!(seen.lines("record flaky task.attempt").len(), 1);
    let finished = seen.line("event in flaky message=background task finished");
    assert!(finished.contains("attempts=3"), "{finished}");
}

/// P-TRACE-2
#[tokio::test]
async fn a_task_that_is_queued_is_an_event_in_its_span() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    let waits = background.spawn(named("first", pending::<()>()).delay(Duration::MAX));
    let second = background.spawn(CountVisit);
    let id = second.id();
    second.await.unwrap();

    let queued = "event in visits.count message=background task queued";
    let event = seen.line(queued);
    for field in [
        r#"task.name="visits.count""#.to_owned(),
        format!("task.id={id}"),
        "pending=1".to_owned(),
    ] {
        assert!(event.contains(&field), "{field} is not in {event}");
    }
    seen.assert_order([queued, "enter visits.count", "close visits.count"]);
    waits.abort();
}

/// Keeps the target of each span and event.
#[derive(Clone, Default)]
struct Targets(Arc<Mutex<BTreeSet<&'static str>>>);

impl<S: Subscriber> Layer<S> for Targets {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0
            .lock()
            .unwrap()
            .insert(attributes.metadata().target());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().insert(event.metadata().target());
    }
}

/// P-TRACE-4
#[tokio::test(start_paused = true)]
async fn the_targets_of_the_log_are_three_public_names() {
    let targets = Targets::default();
    let subscriber = tracing_subscriber::registry().with(targets.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let background = Background::builder()
        .on_span(|_, _| panic!("no tracer"))
        .on_error(|_| panic!("no hook"))
        .build()
        .unwrap();
    background.spawn(Flaky).await.unwrap();
    background.spawn(Fail).await.unwrap_err();

    let mut seen = targets.0.lock().unwrap().clone();
    seen.retain(|target| *target != module_path!());
    assert_eq!(
        seen,
        ["bg_runtime", "bg_runtime::failure", "bg_runtime::task"].into()
    );
}

#[tokio::test]
async fn the_requests_span_ends_while_its_tasks_wait_and_run() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let tasks = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        async move || {
            BackgroundTasks::new()
                .with_task(named("runs", async move {
                    begun.notify_one();
                    go_on.notified().await;
                }))
                .with_task(named("waits", async {}))
        }
    };
    let app = Router::new()
        .route("/", routing::get(async move || (tasks().await, "answer")))
        .layer(TraceLayer::new_for_http())
        .layer(background.layer());
    answer(app, "/").await;

    begun.notified().await;
    let stats = background.stats();
    assert_eq!((stats.running, stats.pending), (1, 1), "{stats}");
    assert!(seen.has("close request"), "{seen:#?}");
    assert!(
        !seen.has("close runs") && !seen.has("close waits"),
        "{seen:#?}"
    );

    go_on.notify_one();
    background.shutdown().await;
    assert!(
        seen.has("close runs") && seen.has("close waits"),
        "{seen:#?}"
    );
}

#[tokio::test]
async fn a_synchronous_task_runs_in_its_span_too() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().build().unwrap();
    // A thread of the blocking pool has no subscriber of its own here.
    let subscriber = dispatcher::get_default(Clone::clone);
    let compute = named_blocking("sync", move || {
        dispatcher::with_default(&subscriber, || tracing::info!("computing"));
    });
    background.spawn(compute).await.unwrap();
    seen.line("event in sync message=computing");
}

/// Notes each call as an event in the task's span, with the name of the span where it was made.
fn note_origin(task: &Span, origin: &Span) {
    let origin = origin.metadata().map_or("none", |span| span.name());
    tracing::info!(parent: task, origin, "told");
}

#[get("/dropped")]
async fn answers_something_else() -> &'static str {
    drop(
        "one thing"
            .with_background(named("dropped", async {}))
            .into_response(),
    );
    "something else"
}

#[tokio::test]
async fn on_span_is_called_once_for_every_task_with_the_span_where_it_was_made() {
    let (seen, _guard) = Seen::here();
    let builder = Background::builder().on_error(|_| {}).on_span(note_origin);
    let background = builder.build().unwrap();
    let app: Router = routes![every_place, answers_something_else]
        .layer(TraceLayer::new_for_http())
        .layer(background.layer());
    answer(app.clone(), "/places/1").await;
    answer(app, "/dropped").await;
    info_span!("cron").in_scope(|| background.spawn(named("spawned", async {})));
    background.spawn(named("alone", async {}));
    background.shutdown().await;
    background.spawn(named("too-late", async {}));

    let stats = background.stats();
    assert_eq!((stats.accepted, stats.completed), (8, 6), "{stats}");
    for (task, origin) in [
        ("route", "request"),
        ("handler", "request"),
        ("anywhere", "request"),
        ("response", "request"),
        ("dropped", "request"),
        ("spawned", "cron"),
        ("alone", "none"),
        ("too-late", "none"),
    ] {
        let told = seen.lines(&format!("event in {task} message=told"));
        let expected = format!("event in {task} message=told origin={origin:?}");
        assert_eq!(told, [expected], "{seen:#?}");
    }
    seen.assert_order(["event in handler message=told", "enter handler"]);
    // The tasks let go of the request's span when they are queued.
    assert_eq!(seen.lines("close request").len(), 2, "{seen:#?}");
}

#[tokio::test]
async fn on_span_sees_the_route_and_the_id_of_the_request() {
    let (seen, _guard) = Seen::here();
    let background = Background::builder().on_span(note_origin).build().unwrap();
    let app: Router = routes![every_place]
        .layer(background.layer())
        .layer(SetRequestIdLayer::x_request_id(Numbered));
    answer(app, "/places/1").await;
    seen.assert_order([
        "record route http.route",
        "record route request_id",
        "event in route message=told",
    ]);
}

#[tokio::test]
async fn an_on_span_hook_that_panics_harms_nothing() {
    let (seen, _guard) = Seen::here();
    let builder = Background::builder().on_span(|_, _| panic!("no tracer"));
    let background = builder.build().unwrap();
    let app: Router = routes![every_place].layer(background.layer());
    assert_eq!(answer(app, "/places/1").await, StatusCode::OK);
    background.spawn(CountVisit).await.unwrap();
    background.shutdown().await;

    assert_eq!(background.stats().completed, 5, "{}", background.stats());
    let panicked = seen.lines("event in no span message=`on_span` panicked");
    assert_eq!(panicked.len(), 5, "{seen:#?}");
    assert!(panicked[0].contains("no tracer"), "{panicked:?}");
    seen.line("event in visits.count message=counting");
}

#[get("/failing", background = named("skipped", async {}))]
async fn failing() -> StatusCode {
    StatusCode::IM_A_TEAPOT
}

#[tokio::test]
async fn the_span_of_a_task_that_does_not_run_says_why() {
    let (seen, _guard) = Seen::here();
    let builder = Background::builder().max_pending(1, Overflow::Reject);
    let background = builder.build().unwrap();
    answer(routes![failing].layer(background.layer()), "/failing").await;

    let waiting = background.spawn(named("aborted", pending::<()>()).delay(Duration::MAX));
    background.spawn(named("refused", async {}));
    waiting.abort();
    background.shutdown().await;

    for (task, message, outcome) in [
        ("skipped", "background task skipped", "skipped"),
        ("refused", "background task rejected", "rejected"),
        ("aborted", "background task aborted", "aborted"),
    ] {
        seen.line(&format!("event in {task} message={message}"));
        let finished = seen.line(&format!("event in {task} message=background task finished"));
        let outcome = format!("outcome={outcome:?}");
        assert!(finished.contains(&outcome), "{finished}");
        assert!(!seen.has(&format!("enter {task}")), "{seen:#?}");
        let closed = format!("close {task}");
        eventually(&closed, || seen.has(&closed)).await;
    }
}

/// Reports when a task's span ends, and holds that up.
struct HeldUp {
    closing: mpsc::UnboundedSender<()>,
    may_close: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for HeldUp {
    fn on_close(&self, _: Id, _: Context<'_, S>) {
        // An error means that the test has failed already.
        let _ = self.closing.send(());
        let _ = self.may_close.lock().unwrap().recv();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_span_of_every_task_has_ended_when_a_shutdown_is_over() {
    let (closing, mut is_closing) = mpsc::unbounded_channel();
    let (close, may_close) = std::sync::mpsc::channel();
    let held_up = HeldUp {
        closing,
        may_close: Mutex::new(may_close),
    };
    let subscriber = tracing_subscriber::registry().with(held_up);
    let _guard = tracing::subscriber::set_default(subscriber);

    let tasks: [fn() -> BoxTask; 2] = [|| CountVisit.into_task(), || Fail.into_task()];
    for task in tasks {
        let background = Background::builder().on_error(|_| {}).build().unwrap();
        background.spawn(task());
        is_closing.recv().await.unwrap();
        let mut shutdown = pin!(background.shutdown());
        assert!(shutdown.as_mut().now_or_never().is_none());
        close.send(()).unwrap();
        within("the end of the shutdown", shutdown).await;
    }
}

#[tokio::test]
async fn spans_that_no_subscriber_enables_are_empty() {
    let seen = Seen::default();
    let requests_only = filter_fn(|metadata| !metadata.target().starts_with("bg_runtime"));
    let subscriber = tracing_subscriber::registry()
        .with(requests_only)
        .with(seen.clone());
    let _guard = tracing::subscriber::set_default(subscriber);

    let spans = Arc::new(Mutex::new(Vec::new()));
    let builder = Background::builder().on_span({
        let spans = spans.clone();
        move |task, origin| spans.lock().unwrap().push((task.clone(), origin.clone()))
    });
    let background = builder.build().unwrap();
    let app: Router = routes![every_place]
        .layer(TraceLayer::new_for_http())
        .layer(background.layer());
    answer(app, "/places/1").await;

    let spans = spans.lock().unwrap();
    assert_eq!(spans.len(), 4);
    for (task, origin) in &*spans {
        assert!(
            task.is_disabled() && origin.is_none(),
            "{task:?} {origin:?}"
        );
    }
    assert!(seen.has("close request"), "{seen:#?}");
}
