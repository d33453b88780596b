//! The first task starts after the last byte of the response under servers that are not the library's
//! own, whose connections `Background::connection` has wrapped: hyper-util and axum-server, with TLS
//! around the wrapped IO, inside of it, and without, whether the IO is vectored or not.
//!
//! Judged by the server's last write to the socket. The client counts what it has read from its own, and
//! the write that brought the last of these bytes is the response's last.
//!
//! `REQUESTS_PER_CELL=400` makes as many requests of each kind instead of 20.

// Where the dev-dependencies for TLS are.
#![cfg(target_os = "linux")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::get;
use axum_server::accept::Accept;
use axum_server::tls::TlsService;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use bg_runtime::{Background, BackgroundIo, BackgroundService, BackgroundTasks, named};
use futures_util::future::BoxFuture;
use http::Request;
use http_body_util::BodyExt;
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tests::recorded_io::{RecordedIo, Recorder, ResponseEnd};
use tests::tasks::settled;
use tests::{Protocol, Timeline, eventually, within};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SIZES: [usize; 5] = [0, 13, 30_000, 60_000, 1 << 20];

/// What is around what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layers {
    /// The wrapped socket.
    Plain,
    /// A wrapped socket that takes one buffer at a time.
    NotVectored,
    /// The wrapped TLS stream.
    AroundTls,
    /// TLS on the wrapped socket.
    InsideTls,
}

impl Layers {
    fn has_tls(self) -> bool {
        matches!(self, Self::AroundTls | Self::InsideTls)
    }
}

async fn answer(
    State(timeline): State<Timeline>,
    Path((size, id)): Path<(usize, String)>,
    tasks: BackgroundTasks,
) -> Vec<u8> {
    // Blocks its thread, so that an early start also delays the response.
    let block = Duration::from_millis(1);
    tasks.add_task(named("task", timeline.work_blocking(id, block)));
    vec![b'.'; size]
}

/// The two sides of TLS for `localhost`, with a certificate that the server has signed itself.
struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    fn new() -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let rcgen::CertifiedKey { cert, signing_key } = certified.expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let mut server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .expect("a key that fits");
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("a root");
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }
}

/// What a server is made of.
#[derive(Clone)]
struct Parts {
    layers: Layers,
    background: Background,
    recorder: Recorder,
    app: Router,
    tls: Arc<ServerConfig>,
}

/// Serves with hyper-util, one task for each connection.
async fn serve_with_hyper_util(parts: Parts) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (stream, client) = listener.accept().await.expect("a connection");
            tokio::spawn(serve_connection(parts.clone(), stream, client));
        }
    });
    address
}

async fn serve_connection(parts: Parts, stream: TcpStream, client: SocketAddr) {
    let Parts {
        layers,
        background,
        recorder,
        app,
        tls,
    } = parts;
    let io = recorder.record(stream, client);
    let tls = TlsAcceptor::from(tls);
    match layers {
        Layers::Plain => serve(background.connection(io, app)).await,
        Layers::NotVectored => serve(background.connection(NotVectored(io), app)).await,
        Layers::AroundTls => {
            let io = tls.accept(io).await.expect("TLS");
            serve(background.connection(io, app)).await;
        }
        Layers::InsideTls => {
            let (io, app) = background.connection(io, app);
            serve((tls.accept(io).await.expect("TLS"), app)).await;
        }
    }
}

async fn serve<I>((io, app): (I, BackgroundService<Router>))
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(app));
    // A client that leaves is seen there.
    let _ = served.await;
}

/// Serves with axum-server, whose acceptor does what is needed.
async fn serve_with_axum_server(parts: Parts) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    let config = RustlsConfig::from_config(parts.tls.clone());
    let app = parts.app.clone().into_make_service();
    let server = axum_server::from_tcp(listener).expect("a server");
    match parts.layers {
        Layers::Plain | Layers::NotVectored => {
            let server = server.acceptor(Wrapping(parts));
            tokio::spawn(server.serve(app));
        }
        Layers::InsideTls => {
            let tls = RustlsAcceptor::new(config).acceptor(Wrapping(parts));
            tokio::spawn(server.acceptor(tls).serve(app));
        }
        Layers::AroundTls => {
            let tls = RustlsAcceptor::new(config).acceptor(Recording(parts.recorder.clone()));
            let around = WrappingTls { tls, parts };
            tokio::spawn(server.acceptor(around).serve(app));
        }
    }
    address
}

/// Records the connection.
#[derive(Clone)]
struct Recording(Recorder);

impl<S> Accept<TcpStream, S> for Recording {
    type Stream = RecordedIo;
    type Service = S;
    type Future = std::future::Ready<io::Result<(RecordedIo, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let client = stream.peer_addr();
        std::future::ready(client.map(|client| (self.0.record(stream, client), service)))
    }
}

/// Records the connection, and wraps it.
#[derive(Clone)]
struct Wrapping(Parts);

impl<S> Accept<TcpStream, S> for Wrapping {
    type Stream = BackgroundIo<RecordedIo>;
    type Service = BackgroundService<S>;
    type Future = std::future::Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let client = stream.peer_addr();
        std::future::ready(client.map(|client| {
            let io = self.0.recorder.record(stream, client);
            self.0.background.connection(io, service)
        }))
    }
}

/// Wraps the TLS stream that another acceptor makes.
#[derive(Clone)]
struct WrappingTls {
    tls: RustlsAcceptor<Recording>,
    parts: Parts,
}

type TlsStream = tokio_rustls::server::TlsStream<RecordedIo>;

impl<S: Send + 'static> Accept<TcpStream, S> for WrappingTls {
    type Stream = BackgroundIo<TlsStream>;
    type Service = BackgroundService<TlsService<S>>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let background = self.parts.background.clone();
        let accepted = self.tls.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok(background.connection(stream, service))
        })
    }
}

/// An IO as tokio's default makes it: it does not say that it is vectored.
struct NotVectored(RecordedIo);

impl AsyncRead for NotVectored {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for NotVectored {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A socket that counts what has been read from it.
struct Counting {
    stream: TcpStream,
    read: Arc<AtomicU64>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        self.read.fetch_add(read as u64, Ordering::SeqCst);
        polled
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// One connection of a client.
struct Client {
    sender: Sender,
    address: SocketAddr,
    read: Arc<AtomicU64>,
}

enum Sender {
    Http1(conn::http1::SendRequest<Body>),
    Http2(conn::http2::SendRequest<Body>),
}

impl Client {
    async fn connect(server: SocketAddr, protocol: Protocol, tls: Option<&Tls>) -> Self {
        let stream = TcpStream::connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let address = stream.local_addr().expect("an address");
        let read = Arc::new(AtomicU64::new(0));
        let io = Counting {
            stream,
            read: read.clone(),
        };
        let sender = match tls {
            None => Sender::new(io, protocol).await,
            Some(tls) => {
                let mut config = ClientConfig::clone(&tls.client);
                config.alpn_protocols = vec![match protocol {
                    Protocol::Http1 => b"http/1.1".to_vec(),
                    Protocol::Http2 => b"h2".to_vec(),
                }];
                let name = ServerName::try_from("localhost").expect("a name");
                let handshake = TlsConnector::from(Arc::new(config)).connect(name, io);
                let io = within("TLS", handshake).await.expect("TLS");
                Sender::new(io, protocol).await
            }
        };
        Self {
            sender,
            address,
            read,
        }
    }

    /// Fetches a body, and returns its length, and where it ends on the wire.
    async fn fetch(&mut self, path: &str) -> (usize, ResponseEnd) {
        let request = Request::get(format!("http://localhost{path}"));
        let request = request.header("host", "localhost").body(Body::empty());
        let request = request.expect("a request");
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await.expect("the connection is there");
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await.expect("the connection is there");
                sender.send_request(request).await
            }
        };
        let body = response.expect("a response").into_body().collect().await;
        let body = body.expect("a body").to_bytes();
        let end = ResponseEnd::Offset(self.address, self.read.load(Ordering::SeqCst));
        (body.len(), end)
    }
}

impl Sender {
    async fn new<I>(io: I, protocol: Protocol) -> Self
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(io);
        match protocol {
            Protocol::Http1 => {
                let (sender, connection) = conn::http1::handshake(io).await.expect("HTTP/1");
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                let mut builder = conn::http2::Builder::new(TokioExecutor::new());
                builder
                    .initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(4 << 20);
                let (sender, connection) = builder.handshake(io).await.expect("HTTP/2");
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        }
    }
}

fn requests_per_cell() -> usize {
    let set = std::env::var("REQUESTS_PER_CELL");
    set.map_or(20, |set| {
        set.parse().expect("REQUESTS_PER_CELL is a number")
    })
}

/// Sends requests for every size, with both protocols, and counts the tasks that start early.
async fn none_is_early<F>(layers: Layers, serve: impl FnOnce(Parts) -> F)
where
    F: Future<Output = SocketAddr>,
{
    const CONNECTIONS: usize = 4;
    let timeline = Timeline::new();
    let tls = Tls::new();
    let background = timeline.background().build().expect("nothing to refuse");
    let recorder = Recorder::new(timeline.clone());
    let app = Router::new()
        .route("/{size}/{id}", get(answer))
        .with_state(timeline.clone());
    let server = serve(Parts {
        layers,
        background: background.clone(),
        recorder: recorder.clone(),
        app,
        tls: tls.server.clone(),
    })
    .await;
    let requests = requests_per_cell().div_ceil(CONNECTIONS);
    let tls = layers.has_tls().then_some(&tls);
    let mut ends = Vec::new();
    for protocol in Protocol::ALL {
        for size in SIZES {
            let clients = (0..CONNECTIONS).map(async |connection| {
                let mut client = Client::connect(server, protocol, tls).await;
                let mut ends = Vec::new();
                for request in 0..requests {
                    let id = format!("{protocol:?}-{size}-{connection}-{request}");
                    let path = format!("/{size}/{id}");
                    let (length, end) = within("a response", client.fetch(&path)).await;
                    assert_eq!(length, size, "{protocol:?} {layers:?}");
                    ends.push((id, end));
                }
                // The tasks of all are judged at the end: none may run because its client has left.
                (client, ends)
            });
            let done = futures_util::future::join_all(clients).await;
            let expected = ends.len() as u64 + (CONNECTIONS * requests) as u64;
            settled(&background, expected).await;
            ends.extend(done.into_iter().flat_map(|(_, ends)| ends));
        }
    }
    assert_eq!(background.stats().completed, ends.len() as u64);

    let starts = timeline.moments();
    let mut early = Vec::new();
    for (id, end) in &ends {
        eventually("written", || recorder.last_write(*end).is_some()).await;
        let write = recorder.last_write(*end).expect("it was just there");
        if starts[id].is_before(&write) {
            early.push(id);
        }
    }
    println!("{layers:?}: {} requests, {} early", ends.len(), early.len());
    assert!(early.is_empty(), "{layers:?}: early are {early:?}");
}

/// P-AFTER-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_connection_of_hyper_util_is_watched() {
    none_is_early(Layers::Plain, serve_with_hyper_util).await;
}

/// P-AFTER-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_io_that_is_not_vectored_is_watched() {
    none_is_early(Layers::NotVectored, serve_with_hyper_util).await;
}

/// P-AFTER-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_tls_stream_of_hyper_util_is_watched() {
    none_is_early(Layers::AroundTls, serve_with_hyper_util).await;
}

/// P-AFTER-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_of_hyper_util_on_a_wrapped_socket_is_watched() {
    none_is_early(Layers::InsideTls, serve_with_hyper_util).await;
}

/// P-AFTER-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_connection_of_axum_server_is_watched() {
    none_is_early(Layers::Plain, serve_with_axum_server).await;
}

/// P-AFTER-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_tls_stream_of_axum_server_is_watched() {
    none_is_early(Layers::AroundTls, serve_with_axum_server).await;
}

/// P-AFTER-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_of_axum_server_on_a_wrapped_socket_is_watched() {
    none_is_early(Layers::InsideTls, serve_with_axum_server).await;
}
