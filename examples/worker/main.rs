//! A shop whose server only takes orders, and a worker that ships them: two processes of one program,
//! with PostgreSQL between them. An order and the task to ship it are one transaction.
//!
//! ```text
//! cargo run -p examples --example worker --features postgres            # runs both, until ctrl-c
//! cargo run -p examples --example worker --features postgres -- --once  # tries it itself, then exits
//! ```
//!
//! It starts a PostgreSQL of its own, in a directory of its own, and ends it.

use std::{env, error::Error, process::ExitCode, time::Duration};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bg_runtime::durable::{EnqueueError, LookError, Postgres};
use bg_runtime::sqlx::{self, PgPool};
use bg_runtime::{Background, background_task, get, post, routes};
use examples::{Arguments, OwnServer, Process, Request, Wire};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::{error, info};

mod postgres;

/// How long all of it may take on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

/// Stands for the client of the warehouse. Only the worker has it.
#[derive(Debug, Clone)]
struct Warehouse;

impl Warehouse {
    async fn ship(&self, order: i64) {
        sleep(Duration::from_millis(300)).await;
        info!("order {order} shipped");
    }
}

#[background_task(durable, name = "orders.ship")]
async fn ship_order(order: i64, #[state] warehouse: Warehouse) {
    info!("order {order} is being shipped");
    warehouse.ship(order).await;
}

#[derive(Debug, Clone)]
struct Shop {
    pool: PgPool,
    background: Background,
}

#[post("/orders")]
async fn place_order(
    State(shop): State<Shop>,
    Json(article): Json<String>,
) -> Result<(StatusCode, String), Refusal> {
    let mut transaction = shop.pool.begin().await?;
    let order: i64 = sqlx::query_scalar("insert into orders (article) values ($1) returning id")
        .bind(&article)
        .fetch_one(&mut *transaction)
        .await?;
    let task = ShipOrder::new(order);
    shop.background.enqueue_in(&mut transaction, task).await?;
    if article == "unicorn" {
        // The transaction is dropped, and so are the order and the task.
        return Err(Refusal::SoldOut);
    }
    transaction.commit().await?;
    Ok((StatusCode::CREATED, format!("order {order}")))
}

/// What is stored, from a process that runs none of it.
#[get("/tasks")]
async fn list_tasks(State(shop): State<Shop>) -> Result<String, LookError> {
    let page = shop.background.stored().list().await?;
    let tasks = page.tasks.iter();
    let tasks = tasks.map(|task| format!("{} {}: {}", task.name, task.arguments, task.state));
    Ok(tasks.collect::<Vec<_>>().join("; "))
}

enum Refusal {
    SoldOut,
    Database(sqlx::Error),
    Task(EnqueueError),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<EnqueueError> for Refusal {
    fn from(error: EnqueueError) -> Self {
        Self::Task(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::SoldOut => (StatusCode::CONFLICT, "sold out").into_response(),
            Self::Database(error) => {
                error!("{error}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
            Self::Task(error) => error.into_response(),
        }
    }
}

/// The server: stores tasks, and runs none, so it needs no `Warehouse`.
async fn serve(database: &str, address: &str) -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(database).await?;
    sqlx::query("create table orders (id bigint generated always as identity, article text)")
        .execute(&pool)
        .await?;
    let store = Postgres::like(&pool).enqueue_only();
    let background = Background::builder().durable(store).build()?;
    let shop = Shop {
        pool,
        background: background.clone(),
    };
    let app: Router = routes![place_order, list_tasks].with_state(shop);
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

/// The worker: takes tasks and runs them.
async fn work(database: &str) -> Result<(), Box<dyn Error>> {
    let background = Background::builder()
        .state(Warehouse)
        .durable(Postgres::url(database))
        .build()?;
    let worker = background.work();
    let report = worker
        .with_graceful_shutdown(examples::until_stdin_ends())
        .await?;
    info!("{report}");
    Ok(())
}

/// Places orders, of which one is rolled back, and stops both processes while the last is being shipped.
async fn try_it(
    address: &str,
    mut server: Process,
    mut worker: Process,
) -> Result<(), Box<dyn Error>> {
    let order = |article: &str| Request::post("/orders").json(&json!(article));
    let expect = |answer: u16, expected: u16| match answer == expected {
        true => Ok(()),
        false => Err(format!("{answer} instead of {expected}")),
    };
    expect(order("lamp").send(address).await?, 201)?;
    worker.says("order 1 shipped").await?;

    expect(order("unicorn").send(address).await?, 409)?;
    expect(Request::get("/tasks").send(address).await?, 200)?;
    let listed = server.says("<-- 200").await?;
    let listed = listed.replace(' ', "");
    if !listed.contains("{\"order\":1}") || listed.contains("{\"order\":2}") {
        return Err(format!("the task of an order that was rolled back is there: {listed}").into());
    }

    // A number that was rolled back is not given again.
    expect(order("chair").send(address).await?, 201)?;
    worker.says("order 3 is being shipped").await?;
    info!("ctrl-c");
    let (served, worked) = tokio::try_join!(server.stop(), worker.stop())?;
    let said = |lines: &[String], text: &str| lines.iter().any(|line| line.contains(text));
    if !said(&worked, "order 3 shipped") || !said(&worked, "2 completed") {
        return Err(format!("the worker should have shipped both orders: {worked:?}").into());
    }
    match said(&served, "0 completed") {
        true => Ok(()),
        false => Err(format!("the server should have run none: {served:?}").into()),
    }
}

/// Starts PostgreSQL, the server and the worker. Returns `false` if there is no PostgreSQL.
async fn run(Arguments { once, address }: Arguments) -> Result<bool, Box<dyn Error>> {
    let Some(database) = tokio::task::spawn_blocking(postgres::Server::start).await?? else {
        return Ok(false);
    };
    let url = database.url();
    let mut server = Process::start("server", &["serve", &url, &address])?;
    let address = server.says("serving on ").await?.replace("serving on ", "");
    let worker = Process::start("worker", &["work", &url])?;
    if once {
        let tried = timeout(LIMIT, try_it(&address, server, worker)).await;
        tried.map_err(|_| format!("it took more than {LIMIT:?}"))??;
        return Ok(true);
    }
    println!("\nServing; ctrl-c ends it. Try:\n");
    for request in [
        Request::post("/orders").json(&json!("lamp")),
        Request::post("/orders").json(&json!("unicorn")),
        Request::get("/tasks"),
    ] {
        println!("{}", request.curl(&address));
    }
    examples::asked_to_stop().await;
    tokio::try_join!(server.stop(), worker.stop())?;
    Ok(true)
}

async fn demonstrate() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::of("worker")?;
    let once = arguments.once;
    examples::init_timeline();
    if run(arguments).await? {
        return Ok(());
    }
    let missing = "there is no PostgreSQL here: install it (Debian: `apt-get install postgresql`)";
    OwnServer::missing(once, missing)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    // One program for both roles.
    let ended = match arguments.as_slice() {
        ["serve", database, address] => {
            examples::init_untimed_lines();
            serve(database, address).await
        }
        ["work", database] => {
            examples::init_untimed_lines();
            work(database).await
        }
        _ => demonstrate().await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}
