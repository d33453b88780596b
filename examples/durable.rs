//! A task that survives its worker: the process that runs it is killed in the middle, and the next one
//! finishes it.
//!
//! ```text
//! cargo run -p examples --example durable --features sqlite            # then serves on 127.0.0.1:3000
//! cargo run -p examples --example durable --features sqlite -- --once  # then exits
//! ```
//!
//! The server and the worker are two processes of this program, and share a file of SQLite.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs, io, process::ExitCode, time::Duration};

use axum::{Json, http::StatusCode};
use bg_runtime::durable::{LookError, Sqlite, StoredState, StoredTasks};
use bg_runtime::{Background, BuildError, TaskContext, background_task, post, routes};
use examples::{Arguments, Process, Request, Wire};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::{error, info};

/// How long after its last heartbeat a worker counts as lost. An application leaves it at 30 seconds.
const LEASE: Duration = Duration::from_secs(1);

/// How long this may take on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

/// Where reports are written.
#[derive(Debug, Clone)]
struct Reports(PathBuf);

/// Writes a report, page by page. It may run more than once, so a page that is there already is left
/// alone.
#[background_task(durable, name = "reports.build", timeout = "1m")]
async fn build_report(
    month: String,
    pages: u32,
    #[state] reports: Reports,
    #[context] cx: TaskContext,
) -> io::Result<()> {
    let attempt = cx.attempt();
    info!("attempt {attempt} begins");
    for page in 1..=pages {
        let file = reports.0.join(format!("{month}-{page}.txt"));
        if file.exists() {
            info!("attempt {attempt}: page {page} is there");
            continue;
        }
        sleep(Duration::from_millis(500)).await;
        fs::write(
            file,
            format!("page {page} of {month}, by attempt {attempt}\n"),
        )?;
        info!("attempt {attempt}: page {page} written");
    }
    info!("attempt {attempt} is done");
    Ok(())
}

/// Says that a report is ordered. The queue is a lane of its own, which the server works on itself.
#[background_task(durable, name = "mails.receipt", queue = "mails")]
async fn send_receipt(month: String) {
    info!("mail: the report of {month} is ordered");
}

// Both tasks are stored before the first byte of this answer, in one write: 201 means that there will be a
// report.
#[post("/reports", background = [SendReceipt::new(&month), BuildReport::new(&month, 4)])]
async fn order_report(Json(month): Json<String>) -> (StatusCode, String) {
    (
        StatusCode::CREATED,
        format!("the report of {month} is ordered\n"),
    )
}

/// Both processes have the same, and each works on a queue of its own.
fn background(directory: &Path, queue: &str) -> Result<Background, BuildError> {
    let store = Sqlite::file(directory.join("tasks.db"));
    Background::builder()
        .state(Reports(directory.to_owned()))
        .durable(store.lease(LEASE).queues([queue]))
        .build()
}

/// The worker process: takes tasks from the store until it is told to stop.
async fn work(directory: &Path) -> Result<(), Box<dyn Error>> {
    let background = background(directory, "default")?;
    info!("ready");
    let worker = background.work();
    // An application awaits `background.work()` and is done. This one is told by its parent.
    let report = worker
        .with_graceful_shutdown(examples::until_stdin_ends())
        .await?;
    info!("{report}");
    Ok(())
}

fn start_worker(directory: &Path) -> io::Result<Process> {
    let directory = directory.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    Process::start("worker", &["worker", directory])
}

/// Lists what is stored, newest first.
async fn show(stored: &StoredTasks) -> Result<(), LookError> {
    for task in stored.list().await?.tasks {
        info!(
            "stored: {} {}: {}, attempt {}",
            task.name, task.arguments, task.state, task.attempt
        );
        for failed in &task.errors {
            info!(
                "        attempt {}: {}: {}",
                failed.attempt, failed.kind, failed.error
            );
        }
    }
    Ok(())
}

/// Orders a report, starts a worker, kills it in the middle of the report, and starts the next.
async fn try_it(
    background: &Background,
    order: &Request,
    server: &str,
    directory: &Path,
) -> Result<Process, Box<dyn Error>> {
    if order.send(server).await? != 201 {
        return Err("no report was ordered".into());
    }
    // There is no worker yet. The server runs the receipt, and the report waits.
    let all = background.stored();
    let receipts = all.clone().name("mails.*").list().await?;
    let [receipt] = receipts.tasks.as_slice() else {
        return Err("a receipt should be stored".into());
    };
    all.get(receipt.id).outcome().await?;

    let mut worker = start_worker(directory)?;
    worker.says("attempt 1: page 2 written").await?;
    worker.kill().await?;

    // Its worker was heard of a moment ago, so the store does not know that it is gone.
    show(&all).await?;
    let running = all.clone().state(StoredState::Running).list().await?;
    let [report] = running.tasks.as_slice() else {
        return Err("the report should have been running".into());
    };

    let mut worker = start_worker(directory)?;
    worker.says("attempt 2 begins").await?;
    all.get(report.id).outcome().await?;
    worker.says("attempt 2 is done").await?;
    show(&all).await?;
    let counts = all.counts().await?;
    if counts != [(StoredState::Completed, 2)] {
        return Err(format!("both tasks should have completed: {counts:?}").into());
    }
    for (page, attempt) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
        let written = fs::read_to_string(directory.join(format!("2026-11-{page}.txt")))?;
        if !written.contains(&format!("by attempt {attempt}")) {
            return Err(format!("page {page} is {written:?}").into());
        }
    }
    Ok(worker)
}

/// Starts another worker whenever one is killed, until the server has ended.
async fn keep_working(mut worker: Process, directory: &Path) -> io::Result<()> {
    loop {
        worker.ended().await?;
        worker = start_worker(directory)?;
    }
}

async fn run(Arguments { once, address }: Arguments) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let background = background(directory, "mails")?;
    let listener = examples::listen(&address).await?;
    let address = listener.local_addr()?.to_string();
    let server = background.serve(Wire(listener), routes![order_report]);
    let mut server = tokio::spawn(server.into_future());

    let order = Request::post("/reports").json(&json!("2026-11"));
    let tried = timeout(LIMIT, try_it(&background, &order, &address, directory)).await;
    let worker = tried.map_err(|_| format!("it took more than {LIMIT:?}"))??;
    if once {
        let said = worker.stop().await?;
        let report = background.shutdown().await;
        println!("\n{report}");
        let worked = said.iter().any(|line| line.contains("1 completed"));
        let stats = report.stats();
        return match (worked, stats.stored, stats.completed) {
            (true, 2, 1) => Ok(()),
            _ => {
                Err(format!("each process should have completed one task of two: {said:?}").into())
            }
        };
    }

    println!(
        "\nServing; ctrl-c ends it. Order another report, and kill the worker ({}):\n",
        worker.id()
    );
    let order = Request::post("/reports").json(&json!("2026-12"));
    println!("{}", order.curl(&address));
    let report = tokio::select! {
        report = &mut server => report??,
        failed = keep_working(worker, directory) => return Ok(failed?),
    };
    println!("\n{report}");
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let ended = match arguments.as_slice() {
        [role, directory] if role == "worker" => {
            examples::init_untimed_lines();
            work(Path::new(directory)).await
        }
        _ => {
            let arguments = match Arguments::of("durable") {
                Ok(arguments) => arguments,
                Err(usage) => {
                    eprintln!("{usage}");
                    return ExitCode::from(2);
                }
            };
            examples::init_timeline();
            run(arguments).await
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
