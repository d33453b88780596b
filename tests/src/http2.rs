//! An HTTP/2 client that can walk away from a response at any point.

use std::{future::Future, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::{recorded_io::ResponseEnd, timeline::within};

/// One connection.
#[derive(Debug)]
pub struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    address: SocketAddr,
    next_stream: u32,
}

/// What a request leads to: a response whose body is still to be read.
pub type Started = hyper::Result<http::Response<Incoming>>;

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Where it ends on the connection.
    pub end: ResponseEnd,
}

impl Http2 {
    /// Connects.
    pub async fn connect(server: SocketAddr) -> Self {
        Self::with_window(server, 4 << 20).await
    }

    /// Connects with flow-control windows of this many bytes: a server cannot be further ahead of
    /// what has been read.
    pub async fn with_window(server: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let address = stream.local_addr().expect("an address");
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(window)
            .initial_connection_window_size(window.max(65_535));
        let handshake = builder.handshake(TokioIo::new(stream));
        let (sender, connection) = within("HTTP/2", handshake).await.expect("HTTP/2");
        let driver = tokio::spawn(async move {
            // A connection that breaks shows in its responses.
            let _ = connection.await;
        });
        Self {
            sender,
            driver,
            address,
            next_stream: 1,
        }
    }

    /// The address that the server knows this client by.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request without a body. Dropping the future, or the body it gives, resets the
    /// stream.
    pub fn start(
        &mut self,
        method: &str,
        path: &str,
    ) -> (ResponseEnd, impl Future<Output = Started> + Send + use<>) {
        self.start_with(method, path, Bytes::new())
    }

    fn start_with(
        &mut self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> (ResponseEnd, impl Future<Output = Started> + Send + use<>) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://tests{path}"));
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(body)).expect("a request");
        let end = ResponseEnd::Stream(self.address, self.next_stream);
        self.next_stream += 2;
        (end, self.sender.send_request(request))
    }

    /// Sends a request without a body and reads the response.
    pub async fn fetch(&mut self, method: &str, path: &str) -> Response {
        self.fetch_with(method, path, Bytes::new()).await
    }

    /// Sends a request and reads the response.
    pub async fn fetch_with(
        &mut self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Response {
        let (end, response) = self.start_with(method, path, body.into());
        let response = within("a response", response).await.expect("a response");
        let (parts, body) = response.into_parts();
        let body = within("a body", body.collect()).await.expect("a body");
        Response {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
            end,
        }
    }

    /// Closes the connection at once.
    pub fn leave(self) {
        self.driver.abort();
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
