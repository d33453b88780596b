//! The durable tasks of a request: stored before its head goes out, or it is answered 503.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bg_runtime::durable::{SecretKey, Store};
use bg_runtime::testing::Memory;
use bg_runtime::{
    Background, BackgroundTasks, FailureKind, TaskExt, TaskFailure, WithBackground,
    get as get_route, named, routes,
};
use futures_util::FutureExt;
use tests::{
    Flavour, Http1, Server, Serving, Setup, Timeline, eventually, tasks::Failures, within,
};
use tower::ServiceExt;

use crate::tasks::{KEY, Lab, Note};

const SETUP: Setup = Setup {
    flavour: Flavour::Workers(2),
    serving: Serving::Background,
};

struct Fixture {
    memory: Memory,
    background: Background,
    failures: Failures,
    timeline: Timeline,
}

impl Fixture {
    fn new() -> Self {
        let (memory, failures, lab) = (Memory::new(), Failures::default(), Lab::new());
        let timeline = lab.timeline.clone();
        let background = Background::builder()
            .state(lab)
            .on_error(failures.hook(&Timeline::new()))
            .durable(Store::from(memory.clone()).secret_keys([SecretKey::new(KEY)]))
            .build()
            .unwrap();
        Self {
            memory,
            background,
            failures,
            timeline,
        }
    }

    async fn fetch(&self, app: Router, method: &str) -> Response {
        let request = Request::builder()
            .method(method)
            .uri("/")
            .body(Body::empty());
        let app = app.layer(self.background.layer());
        within("a response", app.oneshot(request.unwrap()))
            .await
            .unwrap()
    }

    /// The texts of the notes that are stored, oldest first.
    async fn stored(&self) -> Vec<String> {
        let page = self.background.stored().list().await.unwrap();
        let mut texts: Vec<_> = page
            .tasks
            .into_iter()
            .map(|task| {
                let arguments: serde_json::Value = serde_json::from_str(&task.arguments).unwrap();
                arguments["text"].as_str().unwrap().to_owned()
            })
            .collect();
        texts.reverse();
        texts
    }
}

/// P-DURABLE-1
#[tokio::test]
async fn the_durable_tasks_of_a_response_are_stored_when_its_head_is_there() {
    let fixture = Fixture::new();
    let app = Router::new().route(
        "/",
        get(|tasks: BackgroundTasks| async move {
            tasks.add_task(Note::new("added"));
            tasks.add_task(Note::new("not due").on_error_response());
            (StatusCode::CREATED, Note::new("returned"))
        }),
    );
    let response = fixture.fetch(app, "GET").await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(fixture.stored().await, ["added", "returned"]);
    assert!(fixture.timeline.names().is_empty(), "nothing works");
    assert_eq!(fixture.background.stats().stored, 2);
}

/// P-DURABLE-2
#[tokio::test]
async fn a_failed_request_stores_what_came_with_its_response_or_is_due_always() {
    let fixture = Fixture::new();
    let app = Router::new().route(
        "/",
        get(|tasks: BackgroundTasks| async move {
            tasks.add_task(Note::new("skipped"));
            tasks.add_task(Note::new("always").always());
            StatusCode::NOT_FOUND.with_background(Note::new("with it"))
        }),
    );
    assert_eq!(
        fixture.fetch(app, "GET").await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(fixture.stored().await, ["always", "with it"]);
    assert_eq!(fixture.background.stats().skipped, 1);
}

/// P-DURABLE-3
#[tokio::test]
async fn a_client_whose_tasks_cannot_be_stored_is_told_503() {
    let fixture = Fixture::new();
    fixture.memory.set_down(true);
    let timeline = fixture.timeline.clone();
    let handler = async move |tasks: BackgroundTasks| {
        let mark = |name: &'static str| {
            let timeline = timeline.clone();
            named(name, async move {
                timeline.mark(name);
            })
        };
        tasks.add_task(Note::new("lost"));
        tasks.add_task(mark("skipped"));
        tasks.add_task(mark("always").always());
        "done".with_background(mark("with it"))
    };
    for (method, retry_after) in [("GET", Some("5")), ("POST", None)] {
        let app = Router::new().route("/", get(handler.clone()).post(handler.clone()));
        let response = fixture.fetch(app, method).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let header = response.headers().get("retry-after");
        assert_eq!(header.map(|value| value.to_str().unwrap()), retry_after);
        drop(response);
    }
    fixture.timeline.reached_times("always", 2).await;
    fixture.background.shutdown().await;
    assert_eq!(fixture.timeline.names(), ["always", "always"]);
    let stats = fixture.background.stats();
    assert_eq!(
        (stats.accepted, stats.skipped, stats.completed),
        (8, 6, 2),
        "{stats}"
    );
    fixture.memory.set_down(false);
    assert!(fixture.stored().await.is_empty());
    let kinds: Vec<_> = fixture
        .failures
        .all()
        .iter()
        .map(TaskFailure::kind)
        .collect();
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == FailureKind::NotStored)
            .count(),
        2
    );
}

/// P-DURABLE-3
#[tokio::test]
async fn an_application_chooses_the_response_of_what_is_not_stored() {
    let memory = Memory::new();
    memory.set_down(true);
    let background = Background::builder()
        .state(Lab::new())
        .durable(Store::from(memory).secret_keys([SecretKey::new(KEY)]))
        .on_not_stored(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
        .build()
        .unwrap();
    let app = Router::new()
        .route("/", post(|| async { Note::new("lost") }))
        .layer(background.layer());
    let request = Request::post("/").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

/// P-DURABLE-5
#[tokio::test]
async fn a_task_that_is_added_when_the_response_has_gone_is_stored_all_the_same() {
    let fixture = Fixture::new();
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    let app = Router::new().route(
        "/",
        get(move |tasks: BackgroundTasks| async move {
            *keep.lock().unwrap() = Some(tasks);
        }),
    );
    drop(fixture.fetch(app, "GET").await);
    let tasks = kept.lock().unwrap().take().unwrap();
    tasks.add_task(Note::new("late"));
    fixture.background.start().await.unwrap();
    fixture.timeline.reached("late").await;
    let late = &fixture.background.stored().list().await.unwrap().tasks[0];
    within(
        "the end",
        fixture.background.stored().get(late.id).outcome(),
    )
    .await
    .unwrap();
}

/// Where a task comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Route,
    Handler,
    Response,
}

const FROM: [From; 3] = [From::Route, From::Handler, From::Response];

/// What a handler does in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeds,
    Fails,
    Panics,
}

#[get_route("/{end}", background = Note::new("route"))]
async fn at_a_route(end: String) -> StatusCode {
    finish(&end)
}

async fn in_the_handler(tasks: BackgroundTasks, Path(end): Path<String>) -> StatusCode {
    tasks.add_task(Note::new("handler"));
    finish(&end)
}

async fn with_the_response(Path(end): Path<String>) -> impl IntoResponse {
    finish(&end).with_background(Note::new("response"))
}

fn finish(end: &str) -> StatusCode {
    match end {
        "succeeds" => StatusCode::CREATED,
        "fails" => StatusCode::CONFLICT,
        _ => panic!("as the test asks"),
    }
}

impl From {
    fn app(self) -> Router {
        match self {
            Self::Route => routes![at_a_route],
            Self::Handler => Router::new().route("/{end}", get(in_the_handler)),
            Self::Response => Router::new().route("/{end}", get(with_the_response)),
        }
    }
}

/// P-DURABLE-2
#[tokio::test]
async fn what_is_stored_depends_on_the_end_of_the_request_as_for_other_tasks() {
    for from in FROM {
        for end in [End::Succeeds, End::Fails, End::Panics] {
            let fixture = Fixture::new();
            let app = from.app().layer(fixture.background.layer());
            let uri = format!("/{}", format!("{end:?}").to_lowercase());
            let request = Request::get(uri).body(Body::empty()).unwrap();
            let handled = tokio::spawn(app.oneshot(request)).await;
            assert_eq!(handled.is_err(), end == End::Panics, "{from:?} {end:?}");
            fixture.background.shutdown().await;
            let is_stored = match end {
                End::Succeeds => true,
                End::Fails => from == From::Response,
                End::Panics => false,
            };
            let stored = fixture.stored().await;
            assert_eq!(stored.len(), usize::from(is_stored), "{from:?} {end:?}");
            let stats = fixture.background.stats();
            // A panic keeps a response from being there that a task could come with.
            let is_skipped = !is_stored && (end, from) != (End::Panics, From::Response);
            assert_eq!(
                stats.skipped,
                u64::from(is_skipped),
                "{from:?} {end:?}: {stats}"
            );
        }
    }
}

/// P-DURABLE-1
#[tokio::test]
async fn no_client_is_told_that_it_worked_while_its_tasks_are_being_stored() {
    for from in FROM {
        let fixture = Fixture::new();
        fixture.memory.set_stuck(true);
        let app = from.app().layer(fixture.background.layer());
        let request = Request::get("/succeeds").body(Body::empty()).unwrap();
        let mut response = tokio::spawn(app.oneshot(request));
        eventually("a write", || fixture.memory.waiting_writes() == 1).await;
        assert!((&mut response).now_or_never().is_none(), "{from:?}");
        fixture.memory.set_stuck(false);
        let response = within("the response", response).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(fixture.stored().await.len(), 1, "{from:?}");
    }
}

/// P-DURABLE-3
#[tokio::test(start_paused = true)]
async fn a_store_that_takes_too_long_is_answered_for_with_503() {
    let fixture = Fixture::new();
    fixture.memory.set_stuck(true);
    let app = From::Route.app().layer(fixture.background.layer());
    let begun = tokio::time::Instant::now();
    let request = Request::get("/succeeds").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(
        fixture.failures.of("tests.note").unwrap().kind(),
        FailureKind::NotStored
    );
}

/// The handler has done its work, so all of its tasks run, though nobody hears of it.
/// P-DURABLE-4
#[tokio::test]
async fn a_client_that_leaves_while_its_tasks_are_being_stored_loses_none() {
    for from in FROM {
        let fixture = Fixture::new();
        let timeline = fixture.timeline.clone();
        let beside = move |mut response: Response| {
            let timeline = timeline.clone();
            response = response.with_background(named("beside", async move {
                timeline.mark("beside");
            }));
            async move { response }
        };
        let app = from.app().layer(axum::middleware::map_response(beside));
        let (background, setup) = (fixture.background.clone(), SETUP);
        let server = Server::start(setup, &fixture.timeline, move || (background, app)).await;
        // Taken by no worker: those of this process are told to leave the queue alone.
        fixture.background.queue("default").pause().await.unwrap();
        fixture.memory.set_stuck(true);
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/succeeds").await;
        eventually("a write", || fixture.memory.waiting_writes() == 1).await;
        let end = client.end();
        client.reset();
        eventually("gone", || server.recorder().gone(end).is_some()).await;
        fixture.memory.set_stuck(false);
        fixture.timeline.reached("beside").await;
        assert_eq!(fixture.stored().await.len(), 1, "{from:?}");
        let stats = fixture.background.stats();
        assert_eq!((stats.stored, stats.skipped), (1, 0), "{from:?}: {stats}");
        server.stop().await;
    }
}
