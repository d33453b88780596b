//! Hostile input: text that would forge a line of the log or fill it, and floods.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::{Router, routing};
use bg_runtime::{
    Background, BackgroundBuilder, BackgroundTasks, BoxTask, FailureKind, Overflow, SkipReason,
    Stats, TaskContext, background_task, named, tasks,
};
use futures_util::future::{join_all, pending};
use tests::tasks::{is_balanced, respond_with, settled};
use tests::{Client, Flavour, Protocol, Server, Serving, Setup, Timeline, within};
use tower::ServiceExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// More bytes than any text for people may have.
const LONG: usize = 8 * 1024;

/// A line break of every sort, a line that looks like the log's own, terminal sequences, and text that
/// runs backwards.
const FORGED: &str =
    "x\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{9b}31m\u{85}\u{2028}\u{2029}\u{202e}\0";

/// A mebibyte of it.
fn hostile() -> String {
    FORGED.repeat((1 << 20) / FORGED.len() + 1)
}

/// Fails unless `text` is one line, harmless and of bounded length.
#[track_caller]
fn assert_tame(what: &str, text: &str) {
    let start: String = text.chars().take(200).collect();
    assert!(
        text.len() < LONG,
        "{what} has {} bytes: {start}",
        text.len()
    );
    let is_harmful = |c: char| c.is_control() || "\u{2028}\u{2029}\u{202e}".contains(c);
    assert!(!text.contains(is_harmful), "{what}: {start:?}");
}

/// Every field of every event and span of this thread, as it was recorded.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<(String, String)>>>);

impl Logged {
    /// Records while the guard lives.
    fn here() -> (Self, DefaultGuard) {
        let logged = Self::default();
        let subscriber = tracing_subscriber::registry().with(logged.clone());
        (logged, tracing::subscriber::set_default(subscriber))
    }

    fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }

    /// Every value of one field.
    fn values(&self, field: &str) -> Vec<String> {
        let of_field = |(name, value)| (name == field).then_some(value);
        self.all().into_iter().filter_map(of_field).collect()
    }

    /// Fails unless every field is tame, and those named have a hostile value.
    #[track_caller]
    fn assert_tame(&self, hostile_fields: &[&str]) {
        for (field, value) in self.all() {
            assert_tame(&field, &value);
        }
        for field in hostile_fields {
            let values = self.values(field);
            assert!(
                values.iter().any(|value| value.contains('x')),
                "no {field}: {values:?}"
            );
        }
    }
}

impl Visit for &Logged {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let entry = (field.name().to_owned(), format!("{value:?}"));
        self.0.lock().unwrap().push(entry);
    }

    // Not as `Debug` shows it: what a subscriber makes of text is its own affair.
    fn record_str(&mut self, field: &Field, value: &str) {
        let entry = (field.name().to_owned(), value.to_owned());
        self.0.lock().unwrap().push(entry);
    }
}

impl<S: Subscriber> Layer<S> for Logged {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        attributes.record(&mut &*self);
    }

    fn on_record(&self, _: &Id, record: &Record<'_>, _: Context<'_, S>) {
        record.record(&mut &*self);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut &*self);
    }
}

/// Shows its text as it is, as an error and as an argument.
#[derive(Clone)]
struct Raw(String);

impl Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error with a cause.
#[derive(Debug)]
struct Caused(Raw);

impl Display for Caused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not sent")
    }
}

impl Error for Caused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl Error for Raw {}

#[background_task(name = "hostile.fail", retries = 1, backoff = "1ms")]
async fn fail(text: Raw) -> Result<(), Raw> {
    Err(text)
}

#[background_task(name = "hostile.fail_for_a_cause")]
async fn fail_for_a_cause(text: Raw) -> Result<(), Caused> {
    Err(Caused(text))
}

#[background_task(name = "hostile.panic")]
async fn panic(text: Raw) {
    panic!("{text}");
}

/// P-REPORT-4
#[tokio::test]
async fn errors_panics_and_arguments_stay_on_a_line_of_bounded_length() {
    let (logged, _guard) = Logged::here();
    let background = Background::builder().build().unwrap();
    let text = Raw(hostile());
    let failures = [
        background.spawn(Fail::new(text.clone())).await,
        background.spawn(FailForACause::new(text.clone())).await,
        background.spawn(Panic::new(text)).await,
    ];
    for failure in failures.map(Result::unwrap_err) {
        assert_tame("a failure", &failure.to_string());
        assert!(failure.to_string().contains(r"x\r\n2026"), "{failure}");
        assert_tame("its arguments", &failure.arguments().unwrap());
        // The whole text is still in the error.
        let error = failure
            .error()
            .source()
            .map_or(failure.error().to_string(), ToString::to_string);
        assert_eq!(error, hostile());
    }
    logged.assert_tame(&["error", "arguments"]);
    assert_eq!(logged.values("error").len(), 4);
}

/// Panics with this text when it is asked for its key.
struct PanicsAsKey(String);

impl Display for PanicsAsKey {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("{}", self.0)
    }
}

#[background_task(name = "hostile.key_panics", key = text, max_per_key = 1)]
async fn key_panics(text: PanicsAsKey) {
    drop(text);
}

struct PanicsInDrop(String);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// P-REPORT-4
#[tokio::test]
async fn panics_of_hooks_destructors_and_keys_stay_on_a_line_of_bounded_length() {
    let (logged, _guard) = Logged::here();
    let background = Background::builder()
        .on_error(|_| panic!("{}", hostile()))
        .on_span(|_, _| panic!("{}", hostile()))
        .build()
        .unwrap();
    background
        .spawn(KeyPanics::new(PanicsAsKey(hostile())))
        .await
        .unwrap();
    background
        .spawn(Fail::new(Raw(hostile())))
        .await
        .unwrap_err();
    // Dropped with its list, which was attached to nothing.
    let bomb = PanicsInDrop(hostile());
    drop(tasks![named("bomb", async move { drop(bomb) })]);
    logged.assert_tame(&["panic"]);
    let messages = logged.values("message").join("\n");
    for site in [
        "a task's key panicked",
        "`on_span` panicked",
        "the error hook panicked",
        "a destructor panicked",
    ] {
        assert!(messages.contains(site), "{site}: {messages}");
    }
}

fn hostile_request(path: &str) -> Request<Body> {
    let id = HeaderValue::from_bytes("x".repeat(1 << 20).as_bytes()).unwrap();
    Request::builder()
        .method(Method::from_bytes(&[b'X'; 100_000]).unwrap())
        .uri(path)
        .header("x-request-id", id)
        .body(Body::empty())
        .unwrap()
}

/// As long as a path can be, and with a terminal sequence, which a URI may have in it as it is.
fn hostile_path() -> String {
    "/\u{9b}31m".to_owned() + &"x".repeat(65_000)
}

async fn queues_failing(tasks: BackgroundTasks) {
    tasks.add_task(Fail::new(Raw(FORGED.to_owned())));
}

/// P-REPORT-4
#[tokio::test]
async fn a_requests_path_method_and_headers_stay_on_a_line_of_bounded_length() {
    let (logged, _guard) = Logged::here();
    let background = Background::builder().build().unwrap();
    let app = Router::new()
        .fallback(queues_failing)
        .layer(background.layer());
    let response = app.oneshot(hostile_request(&hostile_path())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
    settled(&background, 1).await;
    logged.assert_tame(&["http.path", "request_id"]);
    assert!(
        logged
            .values("http.method")
            .iter()
            .all(|method| method.starts_with("XX"))
    );
    assert!(!logged.values("http.method").is_empty());
}

/// P-REPORT-4
#[tokio::test]
async fn the_error_for_a_missing_layer_stays_on_a_line_of_bounded_length() {
    let (logged, _guard) = Logged::here();
    let app = Router::new().fallback(queues_failing);
    let response = app.oneshot(hostile_request(&hostile_path())).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    logged.assert_tame(&["message"]);
}

async fn queues_endless(tasks: BackgroundTasks) {
    tasks.add_task(named("endless", pending::<()>()));
}

/// P-REPORT-4
#[tokio::test(start_paused = true)]
async fn a_shutdown_report_has_one_line_of_bounded_length_for_each_task() {
    let builder = Background::builder().drain_timeout(Duration::from_secs(1));
    let background = builder.on_error(|_| {}).build().unwrap();
    let app = Router::new()
        .fallback(queues_endless)
        .layer(background.layer());
    for _ in 0..3 {
        let request = hostile_request(&hostile_path());
        app.clone().oneshot(request).await.unwrap();
    }
    let report = background.shutdown().await;
    assert_eq!(report.unfinished().len(), 3, "{report}");
    let report = report.to_string();
    let lines: Vec<_> = report.split('\n').collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        // A method and a path, each cut.
        let (start, end) = line.split_at(line.len() / 2);
        assert_tame("half a line", start);
        assert_tame("half a line", end);
    }
}

#[background_task(name = "hostile.keyed", key = text, max_per_key = 1, max_pending_per_key = 1)]
async fn keyed(text: Raw) {
    drop(text);
    pending::<()>().await;
}

/// P-REPORT-4
#[tokio::test]
async fn a_refusal_that_names_a_key_stays_on_a_line_of_bounded_length() {
    let (logged, _guard) = Logged::here();
    let background = Background::builder().build().unwrap();
    let _waits = background.spawn(Keyed::new(Raw(hostile())));
    let refused = background.spawn(Keyed::new(Raw(hostile())));
    let failure = within("a refusal", refused).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Rejected);
    assert_tame("the failure", &failure.to_string());
    assert_tame("its error", &failure.error().to_string());
    assert!(failure.to_string().contains("hostile.keyed"), "{failure}");
    logged.assert_tame(&["error"]);
}

#[background_task(name = "hostile.says")]
async fn says(text: String, #[context] cx: TaskContext) {
    cx.progress(1, 2, text);
    pending::<()>().await;
}

/// P-REPORT-4
#[tokio::test]
async fn what_a_task_says_of_its_progress_stays_on_a_line_of_bounded_length() {
    let (logged, _guard) = Logged::here();
    let background = Background::builder().build().unwrap();
    let handle = background.spawn(Says::new(hostile()));
    let progress = within("progress", handle.progress().next()).await.unwrap();
    assert_eq!(progress.message(), hostile());
    assert_tame("progress", &progress.to_string());
    assert!(
        progress.to_string().starts_with(r"1 of 2: x\r\n"),
        "{progress}"
    );
    logged.assert_tame(&["message"]);
}

/// P-REPORT-4
#[tokio::test]
async fn a_failure_with_a_long_list_behind_it_is_one_line_of_bounded_length() {
    const BEHIND: usize = 100_000;

    let (logged, _guard) = Logged::here();
    let background = Background::builder().build().unwrap();
    let list = BackgroundTasks::new();
    list.add_task(Fail::new(Raw("x".to_owned())));
    for _ in 0..BEHIND {
        list.add_task(named("behind", async {}));
    }
    respond_with(&background, list).await;
    settled(&background, BEHIND as u64 + 1).await;
    logged.assert_tame(&[]);
    let skipped = logged.values("skipped").pop().unwrap();
    assert!(skipped.ends_with(", and 99980 more]"), "{skipped}");
}

const FLOOD: u64 = 100_000;
const LIMIT: u64 = 1000;

/// Counts the tasks that wait, on a thread that does nothing else, and remembers the most there
/// were.
struct Lookout {
    over: Arc<AtomicBool>,
    looking: std::thread::JoinHandle<u64>,
}

impl Lookout {
    fn on(background: &Background) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (background, is_over) = (background.clone(), over.clone());
        let looking = std::thread::spawn(move || {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                let stats = background.stats();
                assert!(is_balanced(&stats), "{stats}");
                most = most.max(stats.pending);
                std::thread::yield_now();
            }
            most
        });
        Self { over, looking }
    }

    fn most(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.looking.join().unwrap()
    }
}

/// Counts the tasks that are turned away: those that are refused, and those behind them.
fn limited(overflow: Overflow, turned_away: &Arc<AtomicU64>) -> BackgroundBuilder {
    let turned_away = turned_away.clone();
    Background::builder()
        .max_concurrent(4)
        .max_pending(LIMIT as usize, overflow)
        .on_error(move |failure| {
            let is_refused = failure.kind() == FailureKind::Rejected;
            let reason = failure.error().downcast_ref();
            let is_behind = matches!(reason, Some(SkipReason::EarlierRefusal { .. }));
            turned_away.fetch_add(u64::from(is_refused || is_behind), Ordering::Relaxed);
        })
}

fn quick() -> BoxTask {
    named("quick", tokio::task::yield_now())
}

/// P-LIMIT-6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_flood_of_spawned_tasks_no_more_wait_than_the_limit_allows() {
    let turned_away = Arc::default();
    let background = limited(Overflow::Reject, &turned_away).build().unwrap();
    let lookout = Lookout::on(&background);
    let spawning = (0..4).map(|_| {
        let background = background.clone();
        tokio::spawn(async move {
            for _ in 0..FLOOD / 4 {
                drop(background.spawn(quick()));
            }
        })
    });
    join_all(spawning).await;
    let stats = settled(&background, FLOOD).await;
    assert_eq!(stats.completed + stats.skipped, FLOOD, "{stats}");
    assert!(
        stats.completed > 0 && stats.skipped > 0,
        "no flood: {stats}"
    );
    assert_eq!(turned_away.load(Ordering::Relaxed), stats.skipped);
    let most = lookout.most();
    assert!(most <= LIMIT, "{most} waited");
}

/// One thread, on which nothing runs before all are spawned.
///
/// P-LIMIT-9
#[tokio::test]
async fn in_a_flood_of_spawned_tasks_a_response_waits_until_there_is_room() {
    let turned_away = Arc::default();
    let background = limited(Overflow::Wait, &turned_away).build().unwrap();
    for _ in 0..FLOOD {
        drop(background.spawn(quick()));
    }
    assert_eq!(background.stats().pending, FLOOD);
    let app = Router::new()
        .route(
            "/",
            routing::get(|tasks: BackgroundTasks| async move { tasks.add_task(quick()) }),
        )
        .layer(background.layer());
    let request = Request::get("/").body(Body::empty()).unwrap();
    drop(within("room", app.oneshot(request)).await.unwrap());
    let before = background.stats();
    assert!(before.completed >= FLOOD - LIMIT, "{before}");
    let stats = settled(&background, FLOOD + 1).await;
    assert_eq!(stats.completed, FLOOD + 1, "{stats}");
}

const CONNECTIONS: u64 = 40;
const REQUESTS: u64 = 50;
const TASKS: u64 = FLOOD / CONNECTIONS / REQUESTS;

async fn adds_many(tasks: BackgroundTasks) -> &'static str {
    for _ in 0..TASKS {
        tasks.add_task(quick());
    }
    "ok"
}

/// Sends a flood of clients. Returns the counts, and the most tasks that waited at any moment.
async fn flooded(overflow: Overflow) -> (Stats, u64) {
    let turned_away = Arc::default();
    let builder = limited(overflow, &turned_away);
    let setup = Setup {
        flavour: Flavour::Workers(2),
        serving: Serving::Background,
    };
    let server = Server::start(setup, &Timeline::new(), || {
        let app = Router::new().route("/", routing::get(adds_many));
        (builder.build().expect("nothing to refuse"), app)
    })
    .await;
    let lookout = Lookout::on(server.background());
    let clients = (0..CONNECTIONS).map(|_| {
        let address = server.address();
        tokio::spawn(async move {
            let mut client = Client::connect(Protocol::Http1, address).await;
            for _ in 0..REQUESTS {
                assert_eq!(client.fetch("GET", "/").await.status, 200);
            }
        })
    });
    for client in join_all(clients).await {
        client.unwrap();
    }
    let stats = settled(server.background(), FLOOD).await;
    assert_eq!(turned_away.load(Ordering::Relaxed), stats.skipped);
    (stats, lookout.most())
}

/// P-LIMIT-6
#[tokio::test]
async fn in_a_flood_of_clients_no_more_tasks_wait_than_the_limit_allows() {
    let (stats, most) = flooded(Overflow::Reject).await;
    assert_eq!(stats.completed + stats.skipped, FLOOD, "{stats}");
    assert!(
        stats.completed > 0 && stats.skipped > 0,
        "no flood: {stats}"
    );
    assert!(most <= LIMIT, "{most} waited");
}

/// Beyond the limit there are the tasks of the responses that wait, one response for each client.
///
/// P-LIMIT-7
#[tokio::test]
async fn in_a_flood_of_clients_that_wait_for_room_no_task_is_lost() {
    let (stats, most) = flooded(Overflow::Wait).await;
    assert_eq!(stats.completed, FLOOD, "{stats}");
    assert!(most > LIMIT, "no flood: {most} waited");
    assert!(most <= LIMIT + CONNECTIONS * TASKS, "{most} waited");
}
