//! What an exporter of OpenTelemetry is given of a request and its tasks.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use bg_runtime::{
    Background, BackgroundBuilder, BackgroundTasks, TaskContext, WithBackground, after_response,
    background_task, get, named, routes,
};
use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tests::eventually;
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_http::trace::TraceLayer;
use tracing::Span;
use tracing::subscriber::DefaultGuard;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

/// The spans of this thread that have ended.
struct Traces {
    exporter: InMemorySpanExporter,
    _guard: DefaultGuard,
}

impl Traces {
    fn here() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        Self {
            exporter,
            _guard: guard,
        }
    }

    fn ended(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    /// The span of the one request.
    fn request(&self) -> SpanData {
        self.find("the request", |span| span.name == "request")
    }

    /// The span of the task of this name.
    fn task(&self, name: &str) -> SpanData {
        self.find(name, |span| {
            attribute(span, "task.name") == Some(name.to_owned())
        })
    }

    fn find(&self, what: &str, is_it: impl Fn(&SpanData) -> bool) -> SpanData {
        let ended = self.ended();
        let span = ended.iter().find(|span| is_it(span));
        span.unwrap_or_else(|| panic!("{what} is not among {ended:#?}"))
            .clone()
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    attribute.map(|attribute| attribute.value.to_string())
}

/// Carries the trace of a request over to its tasks.
fn join_traces(task: &Span, origin: &Span) {
    task.set_parent(origin.context()).unwrap();
}

#[get("/", background = named("route", async {}))]
async fn home(tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(named("handler", async {
        after_response(named("by-a-task", async {})).unwrap();
    }));
    after_response(named("anywhere", async {})).unwrap();
    "home".with_background(named("response", async {}))
}

/// Sends a request to `home`, and waits for its tasks.
async fn visit(builder: BackgroundBuilder) {
    let background = builder.build().unwrap();
    let app: Router = routes![home]
        .layer(TraceLayer::new_for_http())
        .layer(background.layer());
    answer(app).await;
    background.shutdown().await;
    assert_eq!(background.stats().completed, 5, "{}", background.stats());
}

async fn answer(app: Router) {
    let request = Request::new(Body::empty());
    let response = app.oneshot(request).await.unwrap();
    to_bytes(response.into_body(), usize::MAX).await.unwrap();
}

#[tokio::test]
async fn with_an_on_span_hook_a_task_continues_the_trace_of_its_request() {
    let traces = Traces::here();
    visit(Background::builder().on_span(join_traces)).await;
    let request = traces.request();
    for name in ["route", "handler", "anywhere", "response"] {
        let task = traces.task(name);
        assert_eq!(
            task.span_context.trace_id(),
            request.span_context.trace_id(),
            "{name}"
        );
        assert_eq!(
            task.parent_span_id,
            request.span_context.span_id(),
            "{name}"
        );
    }

    let (handler, by_a_task) = (traces.task("handler"), traces.task("by-a-task"));
    assert_eq!(
        by_a_task.span_context.trace_id(),
        request.span_context.trace_id()
    );
    assert_eq!(by_a_task.parent_span_id, handler.span_context.span_id());
}

#[tokio::test]
async fn without_a_hook_a_task_has_its_own_trace_linked_to_its_request() {
    let traces = Traces::here();
    visit(Background::builder()).await;
    let request = traces.request().span_context;
    for name in ["route", "handler", "anywhere", "response"] {
        let task = traces.task(name);
        assert_ne!(task.span_context.trace_id(), request.trace_id(), "{name}");
        assert_eq!(task.parent_span_id, SpanId::INVALID, "{name}");
        let links = task.links.iter().map(|link| &link.span_context);
        assert_eq!(links.collect::<Vec<_>>(), [&request], "{name}");
    }
}

#[tokio::test]
async fn the_requests_span_ends_with_the_response_and_not_with_its_task() {
    let traces = Traces::here();
    let background = Background::builder().on_span(join_traces).build().unwrap();
    let go_on = Arc::new(Notify::new());
    let handler = {
        let go_on = go_on.clone();
        async move |tasks: BackgroundTasks| {
            tasks.add_task(named("patient", async move { go_on.notified().await }));
            "at once"
        }
    };
    let app = Router::new()
        .route("/", axum::routing::get(handler))
        .layer(TraceLayer::new_for_http())
        .layer(background.layer());
    answer(app).await;

    eventually("the task runs", || background.stats().running == 1).await;
    let ended: Vec<_> = traces.ended().into_iter().map(|span| span.name).collect();
    assert_eq!(ended, ["request"]);

    go_on.notify_one();
    background.shutdown().await;
    let (request, task) = (traces.request(), traces.task("patient"));
    assert_eq!(task.parent_span_id, request.span_context.span_id());
    assert!(request.end_time < task.end_time, "{request:?} {task:?}");
}

#[tokio::test]
async fn a_skipped_task_is_in_the_trace_of_its_request_too() {
    #[get("/", background = named("skipped", async {}))]
    async fn refuse() -> StatusCode {
        drop(
            "lost"
                .with_background(named("lost", async {}))
                .into_response(),
        );
        StatusCode::FORBIDDEN
    }

    let traces = Traces::here();
    let background = Background::builder().on_span(join_traces).build().unwrap();
    let app: Router = routes![refuse]
        .layer(TraceLayer::new_for_http())
        .layer(background.layer());
    answer(app).await;

    let request = traces.request();
    for name in ["skipped", "lost"] {
        let task = traces.task(name);
        assert_eq!(
            task.parent_span_id,
            request.span_context.span_id(),
            "{name}"
        );
        let finished = task
            .events
            .iter()
            .find(|event| event.name == "background task finished");
        assert!(finished.is_some(), "{name}: {task:#?}");
    }
}

/// P-TRACE-1
#[tokio::test(start_paused = true)]
async fn the_span_of_a_task_has_its_name_and_those_of_its_runs_are_inside() {
    #[background_task(name = "mail.send", retries = 1)]
    async fn send_mail(#[context] cx: TaskContext) -> Result<(), &'static str> {
        match cx.attempt() {
            1 => Err("no answer"),
            _ => Ok(()),
        }
    }

    let traces = Traces::here();
    let background = Background::builder().build().unwrap();
    background.spawn(SendMail).await.unwrap();
    background.shutdown().await;

    let task = traces.task("mail.send");
    assert_eq!(task.name, "mail.send");
    assert_eq!(attribute(&task, "task.attempt").as_deref(), Some("2"));
    let ended = traces.ended();
    let runs = ended
        .iter()
        .filter(|span| span.name == "background_task_run");
    let runs: Vec<_> = runs
        .map(|run| (attribute(run, "task.attempt"), run.parent_span_id))
        .collect();
    let parent = task.span_context.span_id();
    let attempt = |number: &str| (Some(number.to_owned()), parent);
    assert_eq!(runs, [attempt("1"), attempt("2")]);
}
