//! Stands for a supplier, who delivers articles when you say so: there is time to ask for the import
//! between two of them.

use std::{error::Error, fmt, sync::Arc};

use axum::{Json, extract::State};
use bg_runtime::post;
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// The connection to the supplier. `None` is its end.
#[derive(Clone)]
pub(crate) struct Supplier {
    send: UnboundedSender<Option<String>>,
    receive: Arc<Mutex<UnboundedReceiver<Option<String>>>>,
}

impl Supplier {
    pub(crate) fn new() -> Self {
        let (send, receive) = unbounded_channel();
        let receive = Arc::new(Mutex::new(receive));
        Self { send, receive }
    }

    /// The next article, when it is here.
    pub(crate) async fn next(&self) -> Result<String, HungUp> {
        let next = self.receive.lock().await.recv().await;
        next.flatten().ok_or(HungUp)
    }

    fn send(&self, article: Option<String>) {
        // The other end is here as well.
        let _ = self.send.send(article);
    }
}

#[derive(Debug)]
pub(crate) struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the supplier hung up")
    }
}

impl Error for HungUp {}

#[post("/supplier/deliver")]
pub(crate) async fn deliver(State(supplier): State<Supplier>, Json(article): Json<String>) {
    supplier.send(Some(article));
}

#[post("/supplier/hang-up")]
pub(crate) async fn hang_up(State(supplier): State<Supplier>) {
    supplier.send(None);
}
