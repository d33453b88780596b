//! A server of a `Background` on the runtime of its test, for tests of several.

use std::{io, net::SocketAddr};

use axum::Router;
use bg_runtime::{Background, ShutdownReport};
use futures_util::FutureExt;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    http1::Http1,
    timeline::{eventually, within},
};

/// A server of a `Background` on the runtime of its test.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    /// What it ends with. Aborting it drops the server.
    pub end: JoinHandle<io::Result<ShutdownReport>>,
}

impl Served {
    /// Begins to serve. The first request tells whether it does.
    pub async fn begin(background: &Background, app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = background
            .serve(listener, app)
            .with_graceful_shutdown(stopped.map(drop));
        Self {
            address,
            stop: Some(stop),
            end: tokio::spawn(server.into_future()),
        }
    }

    /// Like [`begin`](Self::begin), and has answered a request.
    pub async fn start(background: &Background, app: Router) -> Self {
        let server = Self::begin(background, app).await;
        server.fetch("/").await;
        server
    }

    /// Fetches a path, whose status has to be 200.
    pub async fn fetch(&self, path: &str) {
        let mut client = Http1::connect(self.address).await;
        assert_eq!(client.fetch("GET", path).await.head.status, 200);
    }

    /// Tells it to stop, without waiting.
    pub fn begin_stop(&mut self) {
        let stop = self.stop.take().expect("it is told once");
        stop.send(()).expect("it runs");
    }

    /// Tells it to stop, and returns when it has been told.
    pub async fn tell(&mut self) {
        self.begin_stop();
        let address = self.address;
        eventually("closed", || std::net::TcpStream::connect(address).is_err()).await;
    }

    /// Waits for its end.
    pub async fn report(self) -> ShutdownReport {
        let ended = within("the end of a server", self.end).await;
        ended.expect("it does not panic").expect("it served")
    }

    /// Tells it to stop, and waits for its end.
    pub async fn stop(mut self) -> ShutdownReport {
        self.begin_stop();
        self.report().await
    }
}
