//! An HTTP/1.1 client that is a socket and little else: it sends exactly what it is told, reads
//! only when it is told, and leaves in every impolite way there is.

use std::{io, net::SocketAddr};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{recorded_io::ResponseEnd, timeline::within};

/// One connection.
#[derive(Debug)]
pub struct Http1 {
    stream: TcpStream,
    address: SocketAddr,
    unread: BytesMut,
    consumed: u64,
}

/// The head of a response, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// From the status line to the empty line, as it came.
    pub bytes: Bytes,
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, if it was sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.0 == name)?;
        Some(&header.1)
    }

    /// The head without its `date`, which changes every second.
    pub fn without_date(&self) -> String {
        let text = std::str::from_utf8(&self.bytes).expect("ASCII");
        let lines = text.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with("date:")).collect()
    }

    fn parse(bytes: Bytes) -> Self {
        let text = std::str::from_utf8(&bytes).expect("an ASCII head");
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let status = lines.next().expect("a status line");
        let code = status.strip_prefix("HTTP/1.1 ").and_then(|s| s.get(..3));
        let code = code.unwrap_or_else(|| panic!("a status line, not {status:?}"));
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        });
        let (status, headers) = (code.parse().expect("a code"), headers.collect());
        Self {
            bytes,
            status,
            headers,
        }
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// Its body, without the transfer encoding.
    pub body: Bytes,
    /// Where it ends on the connection.
    pub end: ResponseEnd,
}

impl Http1 {
    /// Connects.
    pub async fn connect(server: SocketAddr) -> Self {
        Self::on(TcpSocket::new_v4().expect("a socket"), server).await
    }

    /// Connects with a receive buffer of a few kilobytes, so that what the client does not read
    /// soon stays with the server.
    pub async fn connect_with_small_buffer(server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        Self::on(socket, server).await
    }

    async fn on(socket: TcpSocket, server: SocketAddr) -> Self {
        let stream = socket.connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self {
            address: stream.local_addr().expect("an address"),
            stream,
            unread: BytesMut::new(),
            consumed: 0,
        }
    }

    /// The address that the server knows this client by.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.stream.write_all(bytes.as_ref());
        within("sending", sent).await.expect("sent");
    }

    /// Sends a request without a body, and does not read the response.
    pub async fn start(&mut self, method: &str, path: &str) {
        self.send(request(method, path)).await;
    }

    /// Sends a request without a body and reads the response.
    pub async fn fetch(&mut self, method: &str, path: &str) -> Response {
        self.start(method, path).await;
        self.response(method).await
    }

    /// Sends a request with a body and reads the response.
    pub async fn fetch_with(&mut self, method: &str, path: &str, body: &[u8]) -> Response {
        self.send(request_with(method, path, body)).await;
        self.response(method).await
    }

    /// Reads the response to a request with this method.
    pub async fn response(&mut self, method: &str) -> Response {
        let head = self.head().await;
        let body = self.body(&head, method).await;
        let end = self.end();
        Response { head, body, end }
    }

    /// Reads a head.
    pub async fn head(&mut self) -> Head {
        loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                return Head::parse(self.take(at + 4));
            }
            assert!(self.read().await.expect("read") > 0, "closed in a head");
        }
    }

    /// Reads the body that follows `head`.
    pub async fn body(&mut self, head: &Head, method: &str) -> Bytes {
        if method == "HEAD" || matches!(head.status, 100..200 | 204 | 304) {
            return Bytes::new();
        }
        if head.header("transfer-encoding") == Some("chunked") {
            let mut body = BytesMut::new();
            while let Some(chunk) = self.chunk().await {
                body.extend_from_slice(&chunk);
            }
            return body.freeze();
        }
        let length = head.header("content-length");
        let length = length.unwrap_or_else(|| panic!("a length in {head:?}"));
        self.exactly(length.parse().expect("a length")).await
    }

    /// Reads the next chunk of a chunked body; `None` is its end.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        let line = self.line().await;
        let size = usize::from_str_radix(&line, 16).expect("the size of a chunk");
        let chunk = self.exactly(size).await;
        assert_eq!(self.line().await, "", "the end of a chunk");
        (size > 0).then_some(chunk)
    }

    /// Reads this many bytes.
    pub async fn exactly(&mut self, bytes: usize) -> Bytes {
        while self.unread.len() < bytes {
            assert!(self.read().await.expect("read") > 0, "closed in a body");
        }
        self.take(bytes)
    }

    /// Where the last thing that was read ends on the connection.
    pub fn end(&self) -> ResponseEnd {
        ResponseEnd::Offset(self.address, self.consumed)
    }

    /// Reads until the server closes the connection, or it breaks.
    pub async fn until_closed(&mut self) -> Bytes {
        while self.read().await.is_ok_and(|read| read > 0) {}
        let all = self.unread.len();
        self.take(all)
    }

    /// Sends no more, and goes on listening.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("half-closed");
    }

    /// Breaks the connection at once (`RST`).
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("no lingering");
    }

    /// Closes the connection.
    pub fn leave(self) {}

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(at + 2);
                return String::from_utf8(line[..at].to_vec()).expect("ASCII");
            }
            assert!(self.read().await.expect("read") > 0, "closed in a line");
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        within("reading", self.stream.read_buf(&mut self.unread)).await
    }

    fn take(&mut self, bytes: usize) -> Bytes {
        self.consumed += bytes as u64;
        if bytes == self.unread.len() {
            return std::mem::take(&mut self.unread).freeze();
        }
        let taken = Bytes::copy_from_slice(&self.unread[..bytes]);
        self.unread.advance(bytes);
        taken
    }
}

/// The text of a request without a body.
pub fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: tests\r\n\r\n")
}

/// The bytes of a request with a body.
pub fn request_with(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: tests\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
