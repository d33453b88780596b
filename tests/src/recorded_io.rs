//! A listener whose connections note when the operating system took their bytes.
//!
//! Order is judged by the server's own write: a client learns of its last byte some microseconds
//! later, when it is woken.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use crate::{
    http1_responses::Responses,
    http2_frames::Frames,
    timeline::{Moment, Timeline},
};

/// Where a response ends on its connection.
#[derive(Debug, Clone, Copy)]
pub enum ResponseEnd {
    /// HTTP/1.1: when this many bytes of the connection have been sent.
    Offset(SocketAddr, u64),
    /// HTTP/1.1: with the last byte of the connection's response of this number, from 0.
    Response(SocketAddr, usize),
    /// HTTP/2: with the last frame of this stream.
    Stream(SocketAddr, u32),
}

impl ResponseEnd {
    /// The client's address, by which its connection is known.
    fn client(self) -> SocketAddr {
        let (Self::Offset(client, _) | Self::Response(client, _) | Self::Stream(client, _)) = self;
        client
    }
}

/// What all connections of a server wrote. Clones are the same recorder.
///
/// A connection is known by its client's address. The system may give the port of a connection that has
/// ended to the next one, and does so when threads that connect are held up: the recorder then keeps
/// the first, and what is asked for the second is answered for the first. Clients of a server that has
/// many connections see to it that no address comes twice.
#[derive(Debug, Clone)]
pub struct Recorder {
    timeline: Timeline,
    connections: Arc<Mutex<HashMap<SocketAddr, Arc<Mutex<Connection>>>>>,
    gate: Gate,
}

#[derive(Debug, Default)]
struct Connection {
    written: u64,
    writes: Vec<(u64, Moment)>,
    frames: Frames,
    responses: Responses,
    gone: Option<Moment>,
}

impl Recorder {
    /// Notes its writes in the order of `timeline`.
    pub fn new(timeline: Timeline) -> Self {
        Self {
            timeline,
            connections: Arc::default(),
            gate: Gate::default(),
        }
    }

    /// Holds back what connections write.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Records a connection from now on.
    pub fn record(&self, stream: TcpStream, client: SocketAddr) -> RecordedIo {
        // The client may have left already.
        let _ = stream.set_nodelay(true);
        let connection = Arc::default();
        let mut connections = self.connections.lock().unwrap();
        connections
            .entry(client)
            .or_insert_with(|| Arc::clone(&connection));
        RecordedIo {
            stream,
            connection,
            timeline: self.timeline.clone(),
            gate: self.gate.clone(),
        }
    }

    /// When the operating system took the last byte of a response; `None` while it has not.
    pub fn last_write(&self, end: ResponseEnd) -> Option<Moment> {
        let connection = self.connections.lock().unwrap().get(&end.client())?.clone();
        let connection = connection.lock().unwrap();
        let offset = match end {
            ResponseEnd::Offset(_, offset) => offset,
            ResponseEnd::Response(_, nth) => connection.responses.end_of(nth)?,
            ResponseEnd::Stream(_, stream) => connection.frames.end_of(stream)?,
        };
        let at = connection.writes.partition_point(|write| write.0 < offset);
        connection.writes.get(at).map(|write| write.1)
    }

    /// When the server let go of the connection that this response is on; `None` while it has not.
    /// What it had not written by then is never sent.
    pub fn gone(&self, end: ResponseEnd) -> Option<Moment> {
        let connection = self.connections.lock().unwrap().get(&end.client())?.clone();
        connection.lock().unwrap().gone
    }

    /// How many bytes the operating system has taken for this client.
    pub fn written(&self, client: SocketAddr) -> u64 {
        let connections = self.connections.lock().unwrap();
        let connection = connections.get(&client);
        connection.map_or(0, |connection| connection.lock().unwrap().written)
    }
}

/// Stands between a server and its sockets: lets a number of bytes of each connection through, and
/// then behaves like a socket that takes no more. Open unless told otherwise.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

#[derive(Debug, Default)]
struct GateState {
    allowed: Option<u64>,
    held: Vec<Waker>,
}

impl Gate {
    /// From now on, only the first `bytes` of each connection pass.
    pub fn allow(&self, bytes: u64) {
        self.set(Some(bytes));
    }

    /// Everything passes again.
    pub fn open(&self) {
        self.set(None);
    }

    /// Returns whether some connection has tried to write and was held back.
    pub fn is_holding(&self) -> bool {
        !self.state().held.is_empty()
    }

    fn set(&self, allowed: Option<u64>) {
        let mut state = self.state();
        state.allowed = allowed;
        let held = std::mem::take(&mut state.held);
        drop(state);
        held.into_iter().for_each(Waker::wake);
    }

    /// How many of `wanted` bytes may be written after the first `written`.
    fn poll_pass(&self, cx: &Context<'_>, written: u64, wanted: usize) -> Poll<usize> {
        let mut state = self.state();
        let Some(allowed) = state.allowed else {
            return Poll::Ready(wanted);
        };
        let left = usize::try_from(allowed.saturating_sub(written)).expect("fits");
        if left == 0 && wanted > 0 {
            state.held.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(left.min(wanted))
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap()
    }
}

/// A TCP listener on a free port of this machine, whose connections are recorded.
#[derive(Debug)]
pub struct RecordedListener {
    listener: TcpListener,
    recorder: Recorder,
}

impl RecordedListener {
    /// Binds a listener.
    pub async fn bind(recorder: Recorder) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self { listener, recorder })
    }
}

impl Listener for RecordedListener {
    type Io = RecordedIo;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (RecordedIo, SocketAddr) {
        let (stream, client) = Listener::accept(&mut self.listener).await;
        let io = self.recorder.record(stream, client);
        (io, client)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One recorded connection, as the server holds it.
#[derive(Debug)]
pub struct RecordedIo {
    stream: TcpStream,
    connection: Arc<Mutex<Connection>>,
    timeline: Timeline,
    gate: Gate,
}

impl RecordedIo {
    /// Notes a completed write. The server has not heard of it yet, so nothing that waits for it
    /// can have a smaller sequence number.
    fn note<'a>(&self, written: usize, buffers: impl IntoIterator<Item = &'a [u8]>) {
        let mut connection = self.connection.lock().unwrap();
        let mut left = written;
        for buffer in buffers {
            let taken = left.min(buffer.len());
            connection.frames.advance(&buffer[..taken]);
            connection.responses.advance(&buffer[..taken]);
            left -= taken;
        }
        connection.written += written as u64;
        let end = connection.written;
        connection.writes.push((end, self.timeline.now()));
    }

    fn poll_pass(&self, cx: &Context<'_>, wanted: usize) -> Poll<usize> {
        let written = self.connection.lock().unwrap().written;
        self.gate.poll_pass(cx, written, wanted)
    }
}

/// Comes before the drop of what the server keeps beside its IO, which runs the tasks that wait.
impl Drop for RecordedIo {
    fn drop(&mut self) {
        let now = self.timeline.now();
        self.connection.lock().unwrap().gone.get_or_insert(now);
    }
}

impl AsyncRead for RecordedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for RecordedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(pass) = self.poll_pass(cx, bytes.len()) else {
            return Poll::Pending;
        };
        let poll = Pin::new(&mut self.stream).poll_write(cx, &bytes[..pass]);
        if let Poll::Ready(Ok(written)) = poll {
            self.note(written, [bytes]);
        }
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        let Poll::Ready(pass) = self.poll_pass(cx, wanted) else {
            return Poll::Pending;
        };
        if pass < wanted {
            let first = buffers.iter().find(|buffer| !buffer.is_empty());
            let first = first.expect("more is wanted than may pass");
            return self.poll_write(cx, first);
        }
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        if let Poll::Ready(Ok(written)) = poll {
            self.note(written, buffers.iter().map(|buffer| &**buffer));
        }
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
