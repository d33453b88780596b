//! The stores that are measured, and the task that does next to nothing.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bg_runtime::durable::{Postgres, Sqlite, Store};
use bg_runtime::sqlx::PgPool;
use bg_runtime::sqlx::postgres::PgPoolOptions;
use bg_runtime::{Background, background_task};
use tests::durable::PostgresServer;
use tokio::sync::mpsc;

/// Tells when it was run.
#[derive(Clone)]
pub(crate) struct Witness {
    runs: Arc<AtomicUsize>,
    begun: mpsc::UnboundedSender<Instant>,
}

/// Does nothing but tell.
#[background_task(durable, name = "bench.noop", retries = 0)]
pub(crate) async fn noop(number: u64, #[state] witness: Witness) {
    let _ = number;
    witness.runs.fetch_add(1, Ordering::Relaxed);
    let _ = witness.begun.send(Instant::now());
}

impl Witness {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Instant>) {
        let (begun, told) = mpsc::unbounded_channel();
        let runs = Arc::default();
        (Self { runs, begun }, told)
    }
}

pub(crate) struct Stores {
    server: PostgresServer,
    directory: tempfile::TempDir,
}

impl Stores {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            server: PostgresServer::start().ok_or("there is no PostgreSQL here")?,
            directory: tempfile::tempdir()?,
        })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn postgres(&self, schema: &str) -> Store {
        Postgres::url(self.server.url()).schema(schema)
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// The same by another port.
    pub(crate) fn postgres_on(&self, port: u16, schema: &str) -> Store {
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        Postgres::url(url).schema(schema)
    }

    pub(crate) fn sqlite(&self, name: &str) -> Store {
        Sqlite::file(self.directory.path().join(name))
    }

    pub(crate) async fn pool(&self, connections: u32) -> Result<PgPool, Box<dyn Error>> {
        let pool = PgPoolOptions::new().max_connections(connections);
        Ok(pool.connect(&self.server.url()).await?)
    }
}

pub(crate) fn background(store: Store, witness: Witness) -> Result<Background, Box<dyn Error>> {
    Ok(Background::builder()
        .state(witness)
        .durable(store)
        .build()?)
}
