//! Kinvey's background-task: a creator of tasks and a worker that runs them, two processes of one program, with Redis
//! between them. Progress and the end of each task come back to the creator.
//!
//! ```text
//! cargo run -p examples --example kinvey --features redis            # runs both, until ctrl-c
//! cargo run -p examples --example kinvey --features redis -- --once  # tries it itself, then exits
//! ```
//!
//! It starts a Redis of its own, in a directory of its own, and ends it.

use std::{env, error::Error, process::ExitCode, time::Duration};

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use bg_runtime::durable::{EnqueueError, Redis, StoredTask};
use bg_runtime::{Background, TaskContext, background_task, post, routes};
use examples::{Arguments, OwnServer, Process, Request, Wire};
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use tracing::info;

mod redis;

/// How long after its last heartbeat a worker counts as lost. An application leaves it at 30 seconds.
const LEASE: Duration = Duration::from_secs(2);

/// How long all of it may take on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(90);

/// The warning for a task that seems to block its thread. On a machine that is busy with other things that may be any.
const SLOW_POLL: &str = "a background task blocks its thread for";

/// `taskKey: 'user', maxTasksPerKey: 2, timeout: 3000`: at most two of a user wait and run.
#[background_task(
    durable,
    name = "exports.build",
    key = user,
    max_unfinished_per_key = 2,
    timeout = "3s",
    retries = 0
)]
async fn build_export(user: String, pages: u64, #[context] cx: TaskContext) {
    info!("{user}: attempt {} begins", cx.attempt());
    for page in 1..=pages {
        sleep(Duration::from_millis(400)).await;
        cx.progress(page, pages, "written"); // progressTask(taskId, msg)
    }
    info!("{user}: all pages are written"); // completeTask(taskId, status, msg)
}

#[derive(Debug, Deserialize)]
struct Order {
    user: String,
    pages: u64,
}

/// `addTask(task, callback, progress)`.
#[post("/exports")]
async fn order_export(
    State(background): State<Background>,
    Json(order): Json<Order>,
) -> Result<StatusCode, EnqueueError> {
    let task = BuildExport::new(&order.user, order.pages);
    let id = background.enqueue(task).await?;
    tokio::spawn(follow(order.user, background.stored().get(id)));
    Ok(StatusCode::CREATED)
}

/// The two callbacks. Any process that knows the id can do the same.
async fn follow(user: String, task: StoredTask) {
    let mut progress = task.progress();
    let mut last = None;
    while let Some(step) = progress.next().await {
        // From another process, a step may come twice.
        if last.replace(step.done()) != Some(step.done()) {
            info!("{user}: {step}");
        }
    }
    match task.outcome().await {
        Ok(()) => info!("{user}: done"),
        Err(failure) => info!("{user}: {failure}"),
    }
}

/// The creator: stores tasks, and runs none.
async fn serve(redis: &str, address: &str) -> Result<(), Box<dyn Error>> {
    let store = Redis::url(redis).lease(LEASE).enqueue_only();
    let background = Background::builder().durable(store).build()?;
    let app: Router = routes![order_export].with_state(background.clone());
    let listener = examples::listen(address).await?;
    info!("serving on {}", listener.local_addr()?);
    let server = background.serve(Wire(listener), app);
    // An application awaits the server and is done. This one is told by its parent, too.
    let report = server
        .with_graceful_shutdown(examples::until_stdin_ends())
        .await?;
    info!("{report}");
    Ok(())
}

/// The worker: `isWorker: true, task: [..]`. One task at a time, so that what comes is in one order.
async fn work(redis: &str) -> Result<(), Box<dyn Error>> {
    let store = Redis::url(redis).lease(LEASE);
    let background = Background::builder()
        .durable(store.only(["exports.*"]).concurrency(1))
        .build()?;
    info!("ready");
    let worker = background.work();
    let report = worker
        .with_graceful_shutdown(examples::until_stdin_ends())
        .await?;
    info!("{report}");
    Ok(())
}

/// Fails unless the next lines of the process contain these texts, one each.
async fn says_only(process: &mut Process, expected: &[&str]) -> Result<(), Box<dyn Error>> {
    for expected in expected {
        let line = loop {
            let line = process.next_line().await?;
            if !line.contains(SLOW_POLL) {
                break line;
            }
        };
        if !line.contains(expected) {
            return Err(format!("expected {expected:?}, and got {line:?}").into());
        }
    }
    Ok(())
}

fn order(user: &str, pages: u64) -> Request {
    Request::post("/exports").json(&serde_json::json!({ "user": user, "pages": pages }))
}

/// Orders exports, and kills the worker in the middle of one.
async fn try_it(
    redis: &str,
    address: &str,
    mut creator: Process,
    mut worker: Process,
) -> Result<(), Box<dyn Error>> {
    let send = async |user: &str, pages: u64, expected: u16| {
        let answer = order(user, pages).send(address).await?;
        match answer == expected {
            true => Ok::<_, Box<dyn Error>>(()),
            false => Err(format!("{answer} instead of {expected}").into()),
        }
    };
    says_only(&mut worker, &["ready"]).await?;

    // Progress and completion come back.
    send("ada", 2, 201).await?;
    let heard = [
        "--> POST",
        "<-- 201",
        "ada: 1 of 2",
        "ada: 2 of 2",
        "ada: done",
    ];
    says_only(&mut creator, &heard).await?;
    says_only(&mut worker, &["ada: attempt 1", "ada: all pages"]).await?;

    // One more than may be pending is refused, and one of another user is not.
    send("bob", 1, 201).await?;
    send("bob", 1, 201).await?;
    send("bob", 1, 429).await?;
    let heard = [
        "--> POST", "<-- 201", "--> POST", "<-- 201", "--> POST", "<-- 429",
    ];
    says_only(&mut creator, &heard).await?;
    let heard = ["bob: 1 of 1", "bob: done", "bob: 1 of 1", "bob: done"];
    says_only(&mut creator, &heard).await?;
    let said = ["bob: attempt 1", "bob: all pages"].repeat(2);
    says_only(&mut worker, &said).await?;

    // What takes too long fails, and the creator is told.
    send("eve", 100, 201).await?;
    creator.says("eve: timeout").await?;
    says_only(&mut worker, &["eve: attempt 1", "background task failed"]).await?;

    // What a crashed worker had is named by the next one, and runs again.
    send("zoe", 2, 201).await?;
    creator.says("zoe: 1 of 2").await?;
    says_only(&mut worker, &["zoe: attempt 1"]).await?;
    worker.kill().await?;
    let mut worker = Process::start("worker", &["work", redis])?;
    let said = [
        "ready",
        "a worker that is silent has left tasks",
        "they run again",
        "zoe: attempt 2",
        "zoe: all pages",
    ];
    says_only(&mut worker, &said).await?;
    creator.says("zoe: done").await?;

    info!("ctrl-c");
    let (served, worked) = tokio::try_join!(creator.stop(), worker.stop())?;
    let said = |lines: &[String], text: &str| lines.iter().any(|line| line.contains(text));
    if !said(&worked, "1 completed") {
        return Err(format!("the worker should have run one task: {worked:?}").into());
    }
    match said(&served, "0 completed") {
        true => Ok(()),
        false => Err(format!("the creator should have run none: {served:?}").into()),
    }
}

/// Starts Redis, the creator and the worker. Returns `false` if there is no Redis.
async fn run(Arguments { once, address }: Arguments) -> Result<bool, Box<dyn Error>> {
    let Some(server) = tokio::task::spawn_blocking(redis::Server::start).await?? else {
        return Ok(false);
    };
    let url = server.url();
    let mut creator = Process::start("creator", &["serve", &url, &address])?;
    let address = creator.says("serving on ").await?;
    let address = address.replace("serving on ", "");
    let worker = Process::start("worker", &["work", &url])?;
    if once {
        let tried = timeout(LIMIT, try_it(&url, &address, creator, worker)).await;
        tried.map_err(|_| format!("it took more than {LIMIT:?}"))??;
        return Ok(true);
    }
    println!("\nServing; ctrl-c ends it. Try:\n");
    for request in [order("ada", 3), order("eve", 100)] {
        println!("{}", request.curl(&address));
    }
    examples::asked_to_stop().await;
    tokio::try_join!(creator.stop(), worker.stop())?;
    Ok(true)
}

async fn demonstrate() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::of("kinvey")?;
    let once = arguments.once;
    examples::init_timeline();
    if run(arguments).await? {
        return Ok(());
    }
    let missing =
        "there is no redis-server here: install it (Debian: `apt-get install redis-server`)";
    OwnServer::missing(once, missing)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    // One program for both roles.
    let ended = match arguments.as_slice() {
        ["serve", redis, address] => {
            examples::init_untimed_lines();
            serve(redis, address).await
        }
        ["work", redis] => {
            examples::init_untimed_lines();
            work(redis).await
        }
        _ => demonstrate().await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kinvey: {error}");
            ExitCode::FAILURE
        }
    }
}
