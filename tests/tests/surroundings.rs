//! What surrounds a request surrounds the runs of its tasks: `around` and `around_blocking`.

use std::{
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use bg_runtime::{
    Background, BackgroundBuilder, BackgroundTasks, Backoff, FailureKind, Task, TaskContext,
    TaskDef, TaskExt, TaskResult, WithBackground, after_response, background_task, post, routes,
    tasks, testing::Recorder,
};
use tests::{
    tasks::{Failures, settled},
    within,
};
use tower::ServiceExt;
use tracing::Instrument;

tokio::task_local! {
    static TENANT: &'static str;
}

fn tenant() -> &'static str {
    TENANT.try_with(|tenant| *tenant).unwrap_or("none")
}

/// Every task in the scope of the tenant in whose scope it was queued.
fn for_tenants(builder: BackgroundBuilder) -> BackgroundBuilder {
    builder.around(tenant, |tenant, _cx, run| TENANT.scope(tenant, run))
}

/// What was noted of the tasks and of what surrounds them.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    fn all(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn sorted(&self) -> Vec<String> {
        let mut all = self.all();
        all.sort();
        all
    }

    fn builder(&self) -> BackgroundBuilder {
        Background::builder().state(self.clone())
    }

    /// Notes the begin and the end of what it surrounds.
    fn around(&self, builder: BackgroundBuilder, name: &'static str) -> BackgroundBuilder {
        let (captures, runs) = (self.clone(), self.clone());
        builder.around(
            move || captures.note(format!("{name}: captured")),
            move |(), cx, run| {
                let notes = runs.clone();
                async move {
                    notes.note(format!("{name}: run {}", cx.attempt()));
                    let ended = run.await;
                    let how = if ended.is_ok() { "ok" } else { "error" };
                    notes.note(format!("{name}: {how}"));
                    ended
                }
            },
        )
    }

    fn around_blocking(&self, builder: BackgroundBuilder, name: &'static str) -> BackgroundBuilder {
        let (captures, runs) = (self.clone(), self.clone());
        builder.around_blocking(
            move || captures.note(format!("{name}: captured")),
            move |(), _cx, run| {
                let thread = std::thread::current();
                runs.note(format!(
                    "{name}: begins on {}",
                    thread.name().unwrap_or_default()
                ));
                let ended = run();
                runs.note(format!("{name}: ends"));
                ended
            },
        )
    }
}

/// What [`See`] notes for each of these names, sorted.
fn all_of(tenant: &str, names: &[&str]) -> Vec<String> {
    let mut all: Vec<_> = names
        .iter()
        .map(|name| format!("{name} of {tenant}"))
        .collect();
    all.sort();
    all
}

#[background_task(name = "sees")]
async fn see(name: &str, #[state] notes: Notes) {
    notes.note(format!("{name} of {}", tenant()));
}

/// Queues another task, which is surrounded as this one is.
#[background_task(name = "passes.on")]
async fn pass_on(name: &str) {
    after_response(See::new(name)).unwrap();
}

#[post("/orders", background = [See::new("route"), See::new("route, second")])]
async fn order(tasks: BackgroundTasks) -> Response {
    tasks.add_task(See::new("handler"));
    tasks.add_task(tasks![See::new("list"), tasks![See::new("inner list")]]);
    tasks.add_task(BackgroundTasks::concurrent().with_task(See::new("concurrent")));
    tasks.add_task(See::new("independent").independent());
    drop(tasks.add_tracked(See::new("tracked")));
    after_response(See::new("after_response")).unwrap();
    after_response(PassOn::new("queued by a task")).unwrap();
    let kept = BackgroundTasks::new();
    kept.add_task(See::new("own list"));
    let response = "ok".with_background(tasks![See::new("response")]);
    let response = (kept.clone(), See::new("response part"), response).into_response();
    kept.add_task(See::new("added to a list that is attached"));
    response
}

const QUEUED: [&str; 14] = [
    "route",
    "route, second",
    "handler",
    "list",
    "inner list",
    "concurrent",
    "independent",
    "tracked",
    "after_response",
    "queued by a task",
    "own list",
    "response",
    "response part",
    "added to a list that is attached",
];

async fn in_tenant(tenant: &'static str, request: Request, next: Next) -> Response {
    TENANT.scope(tenant, next.run(request)).await
}

/// An app whose tenant is known to a middleware inside of the layer.
fn app(background: &Background, tenant: &'static str) -> Router {
    of_tenant(routes![order], background, tenant)
}

/// The same of other routes.
fn of_tenant(routes: Router, background: &Background, tenant: &'static str) -> Router {
    routes
        .layer(axum::middleware::from_fn(move |request, next| {
            in_tenant(tenant, request, next)
        }))
        .layer(background.layer())
}

fn post_orders() -> Request {
    Request::post("/orders").body(Body::empty()).unwrap()
}

/// P-SURROUND-1
#[tokio::test]
async fn every_task_of_a_request_is_surrounded_by_what_surrounded_its_handler() {
    for tenant in ["acme", "umbrella"] {
        let notes = Notes::default();
        let builder = for_tenants(notes.builder());
        let background = builder.build().unwrap();
        let response = app(&background, tenant).oneshot(post_orders()).await;
        drop(response.unwrap());
        // And the one that queues another.
        settled(&background, QUEUED.len() as u64 + 1).await;
        assert_eq!(notes.sorted(), all_of(tenant, &QUEUED));
    }
}

/// The layer picks these up, outside of the middleware that knows the tenant.
///
/// P-SURROUND-1
#[tokio::test]
async fn what_comes_with_the_response_of_a_plain_route_is_surrounded_as_well() {
    async fn plain() -> Response {
        let attached = tasks![See::new("in a list"), tasks![See::new("in its list")]];
        let outside = BackgroundTasks::new();
        outside.add_task(See::new("added to a list"));
        let kept = BackgroundTasks::new();
        let response = (kept.clone(), "ok".with_background(attached)).into_response();
        kept.add_task(vec![See::new("in a vec")]);
        kept.add_task([tasks![Some(See::new("in a list in an array"))]]);
        BackgroundTasks::extend(&mut { kept }, [vec![See::new("extends")]]);
        (See::new("single"), outside, response).into_response()
    }

    let notes = Notes::default();
    let background = for_tenants(notes.builder()).build().unwrap();
    let routes = Router::new().route("/orders", axum::routing::post(plain));
    let app = of_tenant(routes, &background, "acme");
    drop(app.oneshot(post_orders()).await.unwrap());
    settled(&background, 7).await;
    let names = [
        "in a list",
        "in its list",
        "added to a list",
        "single",
        "in a vec",
        "in a list in an array",
        "extends",
    ];
    assert_eq!(notes.sorted(), all_of("acme", &names));
}

/// A list may be made before there is a request, and what surrounds the code that attaches it is what counts.
///
/// P-SURROUND-1
#[tokio::test]
async fn a_list_made_outside_of_a_request_is_surrounded_where_it_is_attached() {
    let notes = Notes::default();
    let background = for_tenants(notes.builder()).build().unwrap();
    let made = tasks![See::new("made before"), tasks![See::new("in its list")]];
    let made = Arc::new(Mutex::new(Some(made)));
    let handler = move || {
        let made = made.lock().unwrap().take().unwrap();
        ready("ok".with_background(made))
    };
    let routes = Router::new().route("/orders", axum::routing::post(handler));
    let app = of_tenant(routes, &background, "acme");
    drop(app.oneshot(post_orders()).await.unwrap());
    settled(&background, 2).await;
    assert_eq!(
        notes.sorted(),
        all_of("acme", &["made before", "in its list"])
    );
}

/// A task that a recorder runs, and one without `around`, as the twins.
#[tokio::test]
async fn a_recorded_task_is_surrounded_and_nothing_is_without_a_setting() {
    let notes = Notes::default();
    let builder = for_tenants(notes.builder());
    let recorder = Recorder::from_builder(builder).unwrap();
    drop(app(&recorder, "acme").oneshot(post_orders()).await.unwrap());
    assert!(recorder.run_all().await.is_empty());
    assert_eq!(notes.sorted(), all_of("acme", &QUEUED));

    let plain = notes.builder().build().unwrap();
    drop(app(&plain, "acme").oneshot(post_orders()).await.unwrap());
    settled(&plain, QUEUED.len() as u64 + 1).await;
    assert_eq!(notes.sorted(), all_of("none", &QUEUED));
}

/// While the body is being sent, and when it has been.
///
/// P-SURROUND-1
#[tokio::test]
async fn a_task_that_is_added_late_is_surrounded_by_what_surrounds_that_code() {
    let notes = Notes::default();
    let builder = for_tenants(notes.builder());
    let background = builder.build().unwrap();
    let own = Arc::new(Mutex::new(None));
    let given = own.clone();
    let handler = move |list: BackgroundTasks| {
        *given.lock().unwrap() = Some(list.clone());
        let body = futures_util::stream::once(async move {
            TENANT.sync_scope("streams", || list.add_task(See::new("from the body")));
            Ok::<_, std::io::Error>("ok")
        });
        ready(Body::from_stream(body))
    };
    let app = Router::new()
        .route("/", axum::routing::get(handler))
        .layer(background.layer());
    let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
    axum::body::to_bytes(response.into_body(), 100)
        .await
        .unwrap();
    settled(&background, 1).await;
    let list = own.lock().unwrap().take().unwrap();
    TENANT.sync_scope("later", || list.add_task(See::new("after the end")));
    settled(&background, 2).await;
    let expected = [
        all_of("later", &["after the end"]),
        all_of("streams", &["from the body"]),
    ];
    assert_eq!(notes.sorted(), expected.concat());
}

#[background_task(name = "second.time", retries = 1, backoff = "1s")]
async fn succeed_the_second_time(
    #[context] cx: TaskContext,
    #[state] notes: Notes,
) -> Result<(), &'static str> {
    notes.note("task");
    if cx.attempt() == 1 {
        Err("no luck")
    } else {
        Ok(())
    }
}

/// P-SURROUND-2
#[tokio::test(start_paused = true)]
async fn the_first_is_the_outermost_and_each_run_has_its_own() {
    let notes = Notes::default();
    let builder = notes.builder();
    let builder = notes.around(notes.around(builder, "outer"), "inner");
    let background = builder.build().unwrap();
    background.spawn(SucceedTheSecondTime).await.unwrap();
    let run = |number: u32, how: &str| {
        [
            format!("outer: run {number}"),
            format!("inner: run {number}"),
            "task".to_owned(),
            format!("inner: {how}"),
            format!("outer: {how}"),
        ]
    };
    let captured = ["outer", "inner"].map(|name| format!("{name}: captured"));
    let expected = [&captured[..], &run(1, "error"), &run(2, "ok")].concat();
    assert_eq!(notes.all(), expected);
}

#[background_task(name = "on.a.thread")]
fn work_on_a_thread(#[state] notes: &Notes) {
    notes.note(format!("task of {}", tenant()));
}

/// P-SURROUND-3
#[tokio::test]
async fn a_synchronous_task_is_surrounded_on_its_thread_and_while_it_waits() {
    let notes = Notes::default();
    let builder = notes.builder().isolated(1);
    let builder = builder.around_blocking(tenant, |tenant, cx, run| {
        assert_eq!(cx.attempt(), 1);
        TENANT.sync_scope(tenant, run)
    });
    let builder = notes.around_blocking(builder, "thread");
    let background = notes.around(builder, "wait").build().unwrap();
    let handle = TENANT.sync_scope("acme", || background.spawn(WorkOnAThread));
    within("the task", handle).await.unwrap();
    let expected = [
        "wait: captured",
        "thread: captured",
        "wait: run 1",
        "thread: begins on background-task",
        "task of acme",
        "thread: ends",
        "wait: ok",
    ];
    assert_eq!(notes.all(), expected);

    let async_task = bg_runtime::named("async", async {});
    within("the other", background.spawn(async_task))
        .await
        .unwrap();
    assert_eq!(notes.all(), ["wait: captured", "wait: run 1", "wait: ok"]);
}

/// Its `run` does its work before it returns a future.
struct Eager(Notes);

impl Task for Eager {
    const DEF: &'static TaskDef = &TaskDef::new("eager");

    fn run(self, _: TaskContext) -> impl Future<Output = TaskResult> + Send {
        self.0.note(format!("task of {}", tenant()));
        ready(Ok(()))
    }
}

#[tokio::test]
async fn a_task_that_works_before_it_returns_its_future_is_surrounded_too() {
    let notes = Notes::default();
    let background = for_tenants(notes.builder()).build().unwrap();
    let handle = TENANT.sync_scope("acme", || background.spawn(Eager(notes.clone())));
    within("the task", handle).await.unwrap();
    assert_eq!(notes.all(), ["task of acme"]);
}

/// It does not run without what might keep one tenant's data from another.
///
/// P-SURROUND-4
#[tokio::test]
async fn a_capture_that_panics_fails_its_task_and_no_other() {
    let panics = || -> u32 {
        match tenant() {
            "none" => panic!("no tenant"),
            _ => 0,
        }
    };
    let notes = Notes::default();
    let failures = Failures::default();
    let background = notes
        .builder()
        .on_error(failures.hook(&tests::Timeline::new()))
        .around(panics, |_, _, run| run)
        .around_blocking(panics, |_, _, run| run())
        .build()
        .unwrap();
    for _ in 0..2 {
        let failure = within("the task", background.spawn(WorkOnAThread))
            .await
            .unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Panic);
        assert_eq!(
            failure.error().to_string(),
            "what surrounds the task could not be captured: no tenant"
        );
    }
    assert_eq!(failures.count(), 2);
    assert!(notes.all().is_empty());
    let handle = TENANT.sync_scope("acme", || background.spawn(WorkOnAThread));
    within("the other", handle).await.unwrap();
    assert_eq!(notes.all(), ["task of none"]);
}

/// P-SURROUND-4
#[tokio::test]
async fn what_surrounds_a_run_may_panic_fail_it_take_its_time_or_leave_it_out() {
    let runs = Arc::new(AtomicUsize::new(0));
    let notes = Notes::default();
    let builder = notes.builder().default_timeout(Duration::from_millis(20));
    let builder = builder.around(tenant, |tenant, _cx, run| {
        assert_ne!(tenant, "panics at once");
        async move {
            match tenant {
                "panics later" => panic!("later"),
                "fails" => run.await.and(Err("no luck".into())),
                "hangs" => std::future::pending().await,
                "leaves it out" => Ok(()),
                _ => run.await,
            }
        }
    });
    let background = builder.build().unwrap();
    let expected = [
        ("panics at once", Some(FailureKind::Panic), 0),
        ("panics later", Some(FailureKind::Panic), 0),
        ("fails", Some(FailureKind::Error), 1),
        ("hangs", Some(FailureKind::Timeout), 0),
        ("leaves it out", None, 0),
        ("runs it", None, 1),
    ];
    for (tenant, kind, times) in expected {
        let counted = runs.clone();
        let task = bg_runtime::named("counts", async move {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let handle = TENANT.sync_scope(tenant, || background.spawn(task));
        let ended = within(tenant, handle).await;
        assert_eq!(ended.err().map(|failure| failure.kind()), kind, "{tenant}");
        assert_eq!(runs.swap(0, Ordering::SeqCst), times, "{tenant}");
    }
    let stats = background.stats();
    assert_eq!((stats.completed, stats.failed), (2, 4));
}

#[tokio::test]
async fn an_aborted_run_is_dropped_with_what_surrounds_it() {
    struct Dropped(Notes);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.note("dropped");
        }
    }

    let notes = Notes::default();
    let inside = notes.clone();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let background = for_tenants(notes.builder()).build().unwrap();
    let handle = background.spawn(bg_runtime::named("waits", async move {
        let _dropped = Dropped(inside);
        begun.send(()).unwrap();
        std::future::pending::<()>().await;
    }));
    within("the begin", has_begun).await.unwrap();
    handle.abort();
    tests::eventually("it is dropped", || !notes.0.lock().unwrap().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_with_retries_is_given_the_same_surroundings_again() {
    #[derive(Clone)]
    struct Fails(Notes);

    impl Task for Fails {
        const DEF: &'static TaskDef = &TaskDef::new("fails")
            .retries(2)
            .backoff(Backoff::fixed(Duration::from_secs(1)));

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.note(tenant());
            Err("no luck".into())
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    let notes = Notes::default();
    let background = for_tenants(notes.builder()).build().unwrap();
    let handle = TENANT.sync_scope("acme", || background.spawn(Fails(notes.clone())));
    handle.await.unwrap_err();
    assert_eq!(notes.all(), ["acme"; 3]);
}

#[tokio::test]
async fn a_span_around_a_run_gives_its_fields_to_what_the_task_logs() {
    tests::logs::keep();
    let notes = Notes::default();
    let builder = notes.builder().around(tenant, |tenant, _cx, run| {
        run.instrument(tracing::info_span!("for_tenant", tenant))
    });
    let background = builder.build().unwrap();
    let task = bg_runtime::named("logs.a.line", async { tracing::info!("counted an order") });
    let handle = TENANT.sync_scope("acme", || background.spawn(task));
    within("the task", handle).await.unwrap();
    let [line] = &tests::logs::lines_with("counted an order")[..] else {
        panic!("one line");
    };
    assert!(line.contains("background_task{"), "{line}");
    assert!(line.contains("for_tenant{tenant=\"acme\"}"), "{line}");
}

/// It would be called for that task again, and so on.
///
/// P-SURROUND-4
#[tokio::test]
async fn a_task_that_capture_itself_queues_fails_and_no_other() {
    let notes = Notes::default();
    let own = Arc::new(std::sync::OnceLock::<Background>::new());
    let queues = own.clone();
    let failures = Failures::default();
    let builder = notes
        .builder()
        .on_error(failures.hook(&tests::Timeline::new()));
    let background = builder
        .around(
            move || {
                let background = queues.get().unwrap();
                drop(background.spawn(bg_runtime::named("by.capture", async {})));
            },
            |(), _cx, run| run,
        )
        .build()
        .unwrap();
    own.set(background.clone()).unwrap();
    within("the task", background.spawn(See::new("task")))
        .await
        .unwrap();
    let stats = settled(&background, 2).await;
    assert_eq!((stats.completed, stats.failed), (1, 1));
    let failure = failures.of("by.capture").unwrap();
    assert_eq!(failure.kind(), FailureKind::Panic);
    assert!(
        failure.error().to_string().contains("`capture` itself"),
        "{failure}"
    );
}
