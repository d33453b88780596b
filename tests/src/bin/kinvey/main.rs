//! One process of several that share a store: a creator of tasks, or a worker that runs them. See
//! `tests/durable/kinvey.rs`.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use bg_runtime::durable::EnqueueError;
use bg_runtime::{Background, TaskContext, background_task, post, routes};
use tests::durable::Pen;

/// At most five of a user wait and run.
#[background_task(durable, name = "kinvey.export", key = user, max_unfinished_per_key = 5)]
async fn export(user: String, #[state] pen: Pen) {
    pen.write(format_args!("exported {user}"));
}

/// Takes its time, and tells how far it is and in which process it runs.
#[background_task(durable, name = "kinvey.build")]
async fn build(steps: u64, #[context] cx: TaskContext) {
    for step in 1..=steps {
        cx.progress(step, steps, format!("in {}", std::process::id()));
        // Longer than progress is kept back.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Proves that it was run, and takes its time.
#[background_task(durable, name = "kinvey.prove", retries = 0)]
async fn prove(number: u64, millis: u64, #[state] pen: Pen, #[context] cx: TaskContext) {
    pen.begun(number, cx.attempt());
    tokio::time::sleep(Duration::from_millis(millis)).await;
    pen.ended(number, cx.attempt());
}

/// Hangs in its first run.
#[background_task(durable, name = "kinvey.hang", retries = 0)]
async fn hang(number: u64, #[state] pen: Pen, #[context] cx: TaskContext) {
    pen.begun(number, cx.attempt());
    if cx.attempt() == 1 {
        std::future::pending::<()>().await;
    }
    pen.ended(number, cx.attempt());
}

/// What the handlers know.
static CREATOR: OnceLock<(Background, Pen)> = OnceLock::new();

fn creator() -> &'static (Background, Pen) {
    CREATOR.get().expect("set before anything is served")
}

#[post("/exports/{user}")]
async fn store_export(user: String) -> Result<StatusCode, EnqueueError> {
    creator().0.enqueue(Export::new(user)).await?;
    Ok(StatusCode::CREATED)
}

/// Stores it, and writes what this process hears of it.
#[post("/builds/{steps}")]
async fn store_build(steps: u64) -> Result<StatusCode, EnqueueError> {
    let (background, pen) = creator();
    let id = background.enqueue(Build::new(steps)).await?;
    let task = background.stored().get(id);
    tokio::spawn(async move {
        let mut progress = task.progress();
        while let Some(step) = progress.next().await {
            pen.write(format_args!("heard {step}"));
        }
        let outcome = task.outcome().await;
        pen.write(format_args!("outcome {outcome:?}"));
    });
    Ok(StatusCode::CREATED)
}

#[post("/proofs/{number}/{millis}")]
async fn store_proof(number: u64, millis: u64) -> Result<StatusCode, EnqueueError> {
    creator().0.enqueue(Prove::new(number, millis)).await?;
    Ok(StatusCode::CREATED)
}

#[post("/hangs/{number}")]
async fn store_hang(number: u64) -> Result<StatusCode, EnqueueError> {
    creator().0.enqueue(Hang::new(number)).await?;
    Ok(StatusCode::CREATED)
}

/// Writes the log where the tasks write.
struct Logged(Pen);

impl std::io::Write for Logged {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write(format_args!("{}", text.trim_end()));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = |background: &Background, pen: &Pen| -> Router {
        let (log, set) = (pen.clone(), (background.clone(), pen.clone()));
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || std::io::LineWriter::new(Logged(log.clone())))
            .init();
        let _ = CREATOR.set(set);
        routes![store_export, store_build, store_proof, store_hang]
    };
    tests::durable::run_with(app, |builder, _| builder).await?;
    std::io::stdout().flush()?;
    Ok(())
}
