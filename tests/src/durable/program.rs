//! What the programs of a fleet have in common: a `main`, and where their tasks write what they do.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use bg_runtime::durable::StartError;
use bg_runtime::{Background, BackgroundBuilder};
use tokio::net::TcpListener;

use super::Place;

/// How long after it did not start a process is started again.
const AGAIN: Duration = Duration::from_millis(100);

/// Writes into the [`Evidence`](super::Evidence): a state of the tasks of all processes.
#[derive(Debug, Clone)]
pub struct Pen(Arc<File>);

impl Pen {
    /// Writes a line.
    ///
    /// # Panics
    ///
    /// Panics if that is not possible.
    pub fn write(&self, line: std::fmt::Arguments<'_>) {
        // One call, which the system does not mix with those of other processes.
        let line = format!("{line}\n");
        let written = (&*self.0).write_all(line.as_bytes());
        written.expect("the evidence can be written");
    }

    /// Notes that a run of a numbered task has begun.
    pub fn begun(&self, number: u64, attempt: u32) {
        self.write(format_args!("begun {number} {attempt}"));
    }

    /// Notes that a run of a numbered task has ended, and when.
    pub fn ended(&self, number: u64, attempt: u32) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_millis();
        self.write(format_args!("ended {number} {attempt} {now}"));
    }
}

/// Runs `program serve|work <place> <evidence>`, until it is told to stop. It writes `ready <port>` when it is.
///
/// # Errors
///
/// If the arguments are others, or anything fails.
pub async fn run(
    app: Router,
    finish: impl FnOnce(BackgroundBuilder, Pen) -> BackgroundBuilder,
) -> Result<(), Box<dyn Error>> {
    run_with(|_, _| app, finish).await
}

/// As [`run`], with an application that is made when the `Background` is there.
///
/// # Errors
///
/// As those of [`run`].
pub async fn run_with(
    app: impl FnOnce(&Background, &Pen) -> Router,
    finish: impl FnOnce(BackgroundBuilder, Pen) -> BackgroundBuilder,
) -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [role, place, evidence] = arguments.as_slice() else {
        return Err("serve|work <place> <evidence>".into());
    };
    let place: Place = place.parse()?;
    let evidence = OpenOptions::new()
        .create(true)
        .append(true)
        .open(evidence)?;
    let pen = Pen(Arc::new(evidence));
    let store = match role.as_str() {
        "serve" => place.store().enqueue_only(),
        "work" => place.store(),
        other => return Err(format!("no role is called {other}").into()),
    };
    let builder = Background::builder()
        .state(pen.clone())
        .drain_timeout(Duration::from_secs(2))
        .durable(store);
    let background = finish(builder, pen.clone()).build()?;
    let app = app(&background, &pen);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut listener = Some(listener);
    println!("ready {}", address.port());
    // As whoever looks after processes starts one again that the database kept from starting.
    let report = loop {
        let ran = match role.as_str() {
            "serve" => {
                let listener = match listener.take() {
                    Some(listener) => listener,
                    None => TcpListener::bind(address).await?,
                };
                background.serve(listener, app.clone()).await
            }
            _ => background.work().await.map_err(io::Error::other),
        };
        match ran {
            Err(error) if is_away(&error) => tokio::time::sleep(AGAIN).await,
            ran => break ran?,
        }
    };
    println!("{report}");
    Ok(())
}

/// Returns whether nothing but the database was missing.
fn is_away(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(error, Some(StartError::Unreachable { .. }))
}
