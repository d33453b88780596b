//! A trace that reaches from a request to its tasks, with `tracing-opentelemetry`.
//!
//! ```text
//! cargo run --example opentelemetry                    # serves on 127.0.0.1:3000; ctrl-c ends it, and shows the traces
//! cargo run --example opentelemetry -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example opentelemetry -- --once          # sends one request itself, then exits
//! ```
//!
//! Spans are kept in memory, and shown as a tree at the end. An application exports them over the
//! network instead, with `opentelemetry-otlp` for example; nothing else changes.

use std::{error::Error, process::ExitCode, time::Duration};

use axum::{http, response::IntoResponse};
use bg_runtime::{Background, BackgroundTasks, after_response, background_task, post, routes};
use examples::{Arguments, Request};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tokio::{net::TcpListener, signal::ctrl_c, sync::oneshot, time::sleep};
use tower_http::trace::TraceLayer;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

mod tree;
use tree::Tree;

/// Stands for a call to another service, with a span of its own.
async fn call(service: &'static str) {
    let span = info_span!("call", otel.name = service);
    sleep(Duration::from_millis(20)).instrument(span).await;
}

#[background_task(name = "stock.reserve")]
async fn reserve(_order: u64) {
    call("warehouse").await;
}

#[background_task(name = "mail.receipt")]
async fn send_receipt(order: u64) {
    call("mail server").await;
    // A task that queues a task: the trace goes on.
    let _ = after_response(Archive::new(order));
}

#[background_task(name = "archive")]
async fn archive(_order: u64) {
    call("archive").await;
}

#[post("/orders/{order}", background = Reserve::new(order))]
async fn place_order(order: u64, tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(SendReceipt::new(order));
    call("database").await;
    "ordered\n"
}

/// All that it takes: the task's span gets the context of the span in which the task was made.
fn continue_trace(task: &Span, origin: &Span) {
    // An error only where the span is not traced.
    let _ = task.set_parent(origin.context());
}

fn request_span<B>(request: &http::Request<B>) -> Span {
    let name = format!("{} {}", request.method(), request.uri().path());
    info_span!("request", otel.name = name)
}

fn keep_spans() -> InMemorySpanExporter {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let tracer = provider.tracer("opentelemetry");
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(tracing_opentelemetry::layer().with_tracer(tracer))
        .init();
    exporter
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let spans = keep_spans();
    let background = Background::builder().on_span(continue_trace).build()?;
    let app = routes![place_order].layer(TraceLayer::new_for_http().make_span_with(request_span));

    let listener: TcpListener = examples::listen(&arguments.address).await?;
    let address = listener.local_addr()?.to_string();
    let order = Request::post("/orders/7");

    let (stop, stopped) = oneshot::channel::<()>();
    let server = background
        .serve(listener, app)
        .with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());
    if arguments.once {
        order.send(&address).await?;
    } else {
        println!("Serving on http://{address}. Try, and end it with ctrl-c:\n");
        println!("{}\n", order.curl(&address));
        ctrl_c().await?;
    }
    drop(stop);
    println!("{}\n", server.await??);

    let tree = Tree::of(spans.get_finished_spans()?);
    print!("{tree}");
    if arguments.once && tree.outline() != OUTLINE {
        return Err(format!("the trace is not\n{OUTLINE}").into());
    }
    Ok(())
}

/// The one trace of one order. A task's span begins where the task is made, and ends with the task;
/// the request's has ended by then.
const OUTLINE: &str = "\
POST /orders/7
  stock.reserve
    warehouse
  mail.receipt
    mail server
    archive
      archive
  database
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::of("opentelemetry") {
        Ok(arguments) => arguments,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("opentelemetry: {error}");
            ExitCode::FAILURE
        }
    }
}
