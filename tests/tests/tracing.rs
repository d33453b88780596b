//! What a subscriber of `tracing` sees of a task.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bg_runtime::{Background, BackgroundTasks, TaskContext, background_task, get, routes};
use tests::eventually;
use tower::ServiceExt;
use tower_http::trace::TraceLayer;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Everything that happened, a line each.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn position(&self, start: &str) -> Option<usize> {
        let lines = self.0.lock().unwrap();
        lines.iter().position(|line| line.starts_with(start))
    }

    fn line(&self, start: &str) -> String {
        let lines = self.0.lock().unwrap();
        let line = lines.iter().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start:?} in {lines:#?}"))
            .clone()
    }
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

fn name<S: Subscriber + for<'a> LookupSpan<'a>>(id: &Id, cx: &Context<'_, S>) -> String {
    cx.span(id)
        .map_or("a closed span", |span| span.name())
        .to_owned()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut fields = Fields::default();
        span.record(&mut fields);
        self.push(format!("new {}{}", span.metadata().name(), fields.0));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        record.record(&mut fields);
        self.push(format!("record {}{}", name(id, &cx), fields.0));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, cx: Context<'_, S>) {
        self.push(format!("follows {} {}", name(id, &cx), name(follows, &cx)));
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = cx.event_span(event).map_or("no span", |span| span.name());
        self.push(format!("event in {span}{}", fields.0));
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        self.push(format!("close {}", name(&id, &cx)));
    }
}

#[background_task(name = "visits.count")]
async fn count_visit(#[context] cx: TaskContext) {
    assert_eq!(cx.attempt(), 1);
    tracing::info!("counting");
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

#[tokio::test]
async fn a_task_has_a_span_that_follows_from_the_requests() {
    let seen = Seen::default();
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(seen.clone()));
    let app: Router = routes![visit].layer(TraceLayer::new_for_http());
    let request = Request::get("/visits/7").body(Body::empty()).unwrap();
    drop(app.oneshot(request).await.unwrap());
    eventually("the span is closed", || {
        seen.position("close background_task").is_some()
    })
    .await;

    let span = seen.line("new background_task");
    assert!(span.contains(r#"task.name="visits.count""#), "{span}");
    assert!(span.contains("task.id="), "{span}");
    seen.line("record background_task task.attempt=1");
    seen.line(r#"record background_task http.route="/visits/{id}""#);
    seen.line("follows background_task request");
    seen.line("event in background_task message=counting");

    let finished = seen.line("event in background_task message=background task finished");
    assert!(finished.contains(r#"outcome="completed""#), "{finished}");
    assert!(finished.contains("duration_ms="), "{finished}");
    assert!(
        seen.position("close request") < seen.position("event in background_task message=counting"),
        "the request's span is closed when its task begins: {seen:#?}",
        seen = seen.0.lock().unwrap()
    );
}

#[tokio::test]
async fn without_a_hook_a_failure_is_an_event_on_one_line() {
    let seen = Seen::default();
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(seen.clone()));
    let background = Background::builder().build().unwrap();
    background.spawn(Fail).await.unwrap_err();

    let failed = seen.line("event in background_task message=background task failed");
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
