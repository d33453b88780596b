//! What makes the order of events visible: a log that counts from the arrival of a request, a
//! listener that logs when a response leaves, and one request that the example sends to itself.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{self, SocketAddr},
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::{extract::Request, middleware::Next, response::Response, serve::Listener};
use bg_runtime::Background;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::io::InspectWriter;
use tracing::{Event, Subscriber, info};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

const FORM: &str = r#"{"name":"ada","email":"ada@example.com"}"#;

static START: Mutex<Option<Instant>> = Mutex::new(None);

/// Writes the time since the latest request, and what happened.
struct SinceRequest;

impl<S, N> FormatEvent<S, N> for SinceRequest
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let start = *START.lock().unwrap();
        let elapsed = start.map_or(Duration::ZERO, |start| start.elapsed());
        write!(out, "{:>7.1} ms  ", elapsed.as_secs_f64() * 1e3)?;
        context.format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

pub(crate) fn init() {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .event_format(SinceRequest)
        .init();
}

/// Middleware: the clock starts when a request arrives.
pub(crate) async fn restart(request: Request, next: Next) -> Response {
    *START.lock().unwrap() = Some(Instant::now());
    info!("request received: {} {}", request.method(), request.uri());
    next.run(request).await
}

/// A listener that logs when the operating system has taken a response: this is what the tasks wait
/// for. The client has to wake up to see it, which may take it longer than a task takes to start.
pub(crate) struct Watched(pub(crate) TcpListener);

impl Listener for Watched {
    type Io = InspectWriter<TcpStream, fn(&[u8])>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (InspectWriter::new(stream, log_response), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn log_response(written: &[u8]) {
    if written.starts_with(b"HTTP/") {
        info!("response sent");
    }
}

/// Signs up once, and waits until the tasks of that request are done.
pub(crate) async fn show(address: SocketAddr, background: &Background) -> io::Result<()> {
    let received = tokio::task::spawn_blocking(move || sign_up(address)).await??;
    loop {
        let stats = background.stats();
        if stats.pending + stats.running == 0 {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    let lead = received.elapsed().as_millis();
    info!("tasks done, {lead} ms after the client had its response");
    Ok(())
}

fn sign_up(address: SocketAddr) -> io::Result<Instant> {
    let mut stream = net::TcpStream::connect(address)?;
    let request = format!(
        "POST /sign-up HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{FORM}",
        FORM.len(),
    );
    stream.write_all(request.as_bytes())?;
    let mut response = [0; 1024];
    let length = stream.read(&mut response)?;
    let received = Instant::now();

    let response = String::from_utf8_lossy(&response[..length]);
    let status = response.lines().next().unwrap_or_default();
    info!("response received: {status}");
    if status.ends_with("201 Created") {
        Ok(received)
    } else {
        Err(io::Error::other(format!("no account: {status}")))
    }
}

/// The same request, to be typed into a shell.
pub(crate) fn curl(address: SocketAddr) -> String {
    format!("curl -i http://{address}/sign-up -H 'content-type: application/json' -d '{FORM}'")
}
