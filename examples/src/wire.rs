//! Requests and responses, as they pass between the server and the operating system.

use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::io::{InspectReader, InspectWriter};
use tracing::info;

use crate::messages::Messages;
use crate::timeline;

/// A listener that logs each request as it arrives, and each response when the operating system has
/// taken it: that is what the tasks wait for. The client has to wake up to see it, which may take it
/// longer than a task takes to start.
#[derive(Debug)]
pub struct Wire(pub TcpListener);

/// Is shown the bytes of one direction.
type Tap = Box<dyn FnMut(&[u8]) + Send>;

impl Listener for Wire {
    type Io = InspectReader<InspectWriter<TcpStream, Tap>, Tap>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        let written = InspectWriter::new(stream, tap(|response| info!("<-- {response}")));
        let read = tap(|request| {
            timeline::restart();
            info!("--> {request}");
        });
        (InspectReader::new(written, read), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn tap(show: fn(&str)) -> Tap {
    let mut messages = Messages::default();
    Box::new(move |bytes| messages.read(bytes, show))
}
