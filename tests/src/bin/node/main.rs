//! One process of several that share a store of durable tasks: a server or a worker, to be killed.
//!
//! `node serve|work <place> <evidence>`. It writes `ready <port>` when it is, and its tasks write what they do into the
//! file of evidence, a line at a time.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bg_runtime::durable::StartError;
use bg_runtime::{Background, TaskContext, background_task, post, routes};
use tests::durable::Place;

/// What the tasks of all processes have done.
#[derive(Clone)]
struct Evidence(Arc<File>);

impl Evidence {
    fn write(&self, line: std::fmt::Arguments<'_>) {
        // One call, which the system does not mix with those of other processes.
        let line = format!("{line}\n");
        (&*self.0)
            .write_all(line.as_bytes())
            .expect("the evidence can be written");
    }
}

/// Proves that it was run, and takes its time.
#[background_task(durable, name = "node.prove", retries = 0)]
async fn prove(number: u64, millis: u64, #[state] evidence: Evidence, #[context] cx: TaskContext) {
    let attempt = cx.attempt();
    evidence.write(format_args!("begun {number} {attempt}"));
    tokio::time::sleep(Duration::from_millis(millis)).await;
    evidence.write(format_args!("ended {number} {attempt}"));
}

/// Fails each time but the last.
#[background_task(durable, name = "node.fail", retries = 2, backoff = "10ms")]
async fn fail(
    number: u64,
    #[state] evidence: Evidence,
    #[context] cx: TaskContext,
) -> Result<(), &'static str> {
    let attempt = cx.attempt();
    evidence.write(format_args!("begun {number} {attempt}"));
    if fastrand::u8(..3) > 0 {
        return Err("not this time");
    }
    evidence.write(format_args!("ended {number} {attempt}"));
    Ok(())
}

#[post("/prove/{number}/{millis}", background = Prove::new(number, millis))]
async fn store_proof(number: u64, millis: u64) -> StatusCode {
    let _ = (number, millis);
    StatusCode::CREATED
}

#[post("/fail/{number}", background = Fail::new(number))]
async fn store_failure(number: u64) -> StatusCode {
    let _ = number;
    StatusCode::CREATED
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [role, place, evidence] = arguments.as_slice() else {
        return Err("node serve|work <place> <evidence>".into());
    };
    let place: Place = place.parse()?;
    let evidence = OpenOptions::new()
        .create(true)
        .append(true)
        .open(evidence)?;
    let store = match role.as_str() {
        "serve" => place.store().enqueue_only(),
        "work" => place.store(),
        other => return Err(format!("no role is called {other}").into()),
    };
    let background = Background::builder()
        .state(Evidence(Arc::new(evidence)))
        .drain_timeout(Duration::from_secs(2))
        .durable(store)
        .build()?;
    // Its store may be away for a moment. Whoever runs a program starts it again then.
    while let Err(error) = background.start().await {
        if !matches!(error, StartError::Unreachable { .. }) {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let report = if role == "serve" {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("ready {}", listener.local_addr()?.port());
        background
            .serve(listener, routes![store_proof, store_failure])
            .await?
    } else {
        println!("ready 0");
        background.work().await?
    };
    println!("{report}");
    Ok(())
}
