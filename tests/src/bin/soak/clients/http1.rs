//! HTTP/1.1, one request after the other.

use std::{io, net::SocketAddr};

use tests::recorded_io::ResponseEnd;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Fate, Pace};
use crate::{
    app::url,
    ledger::Ledger,
    plan::{ConnectionPlan, Departure, Manner, Parting, RequestOnWire},
    server::Target,
};

/// Goes through the plan as far as the connection lasts.
pub(super) async fn go(
    ledger: &Ledger,
    target: &Target,
    stream: TcpStream,
    plan: &ConnectionPlan,
) -> Vec<Fate> {
    let mut fates = Vec::new();
    let Ok(address) = stream.local_addr() else {
        return fates;
    };
    let mut wire = Wire {
        stream,
        unread: Vec::new(),
        address,
    };
    for (nth, request) in plan.requests.iter().enumerate() {
        tokio::time::sleep(request.wait).await;
        let end = ResponseEnd::Response(wire.address, nth);
        ledger.sent(request.number, &request.plan, end, target);
        let fate = match wire.exchange(ledger, request).await {
            Ok(fate) => fate,
            Err(_) if matches!(request.manner, Manner::Leaves(_)) => Fate::Left,
            Err(_) => Fate::CutOff,
        };
        let goes_on = matches!(fate, Fate::Read { .. });
        if let Fate::Left = fate {
            wire.leave(ledger, request);
            fates.push(fate);
            break;
        }
        fates.push(fate);
        if !goes_on {
            break;
        }
    }
    fates
}

struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    address: SocketAddr,
}

/// What follows the head.
enum Body {
    Length(usize),
    Chunks,
}

impl Wire {
    async fn exchange(&mut self, ledger: &Ledger, request: &RequestOnWire) -> io::Result<Fate> {
        let bytes = bytes_of(request);
        let parting = match &request.manner {
            Manner::Leaves(departure) => Some(departure.parting),
            Manner::Reads | Manner::ReadsSlowly { .. } => None,
        };
        if let Some(Parting::InRequest(percent)) = parting {
            // At least one byte is missing.
            let sent = (bytes.len() - 1) * percent / 100;
            self.stream.write_all(&bytes[..sent]).await?;
            return Ok(Fate::Left);
        }
        self.stream.write_all(&bytes).await?;
        match parting {
            Some(Parting::BeforeHead(time)) => {
                // Anything that comes meanwhile is ignored.
                let _ = timeout(time, self.fill()).await;
                return Ok(Fate::Left);
            }
            Some(Parting::HalfClose(time)) => {
                tokio::time::sleep(time).await;
                ledger.given_up(request.number);
                self.stream.shutdown().await?;
            }
            _ => {}
        }
        let (status, body) = self.head(request.plan.method).await?;
        let mut reader = Reader {
            wire: self,
            pace: match request.manner {
                Manner::ReadsSlowly { bytes, pause } => Some(Pace::new(bytes, pause)),
                _ => None,
            },
            leaves_after: match parting {
                Some(Parting::InBody(bytes)) => Some(bytes),
                _ => None,
            },
            read: 0,
        };
        let read = match body {
            Body::Length(length) => reader.exactly(length).await?,
            Body::Chunks => reader.chunks().await?,
        };
        let left = reader.leaves_after.is_some() || matches!(parting, Some(Parting::HalfClose(_)));
        Ok(match read {
            Some(body) if !left => Fate::Read { status, body },
            _ => Fate::Left,
        })
    }

    fn leave(self, ledger: &Ledger, request: &RequestOnWire) {
        ledger.given_up(request.number);
        if let Manner::Leaves(Departure { resets: true, .. }) = request.manner {
            let _ = self.stream.set_zero_linger();
        }
    }

    async fn head(&mut self, method: &str) -> io::Result<(u16, Body)> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await?;
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or(io::ErrorKind::InvalidData)?;
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok());
        let body = if method == "HEAD" || matches!(status, 204 | 304) {
            Body::Length(0)
        } else {
            length.map_or(Body::Chunks, Body::Length)
        };
        Ok((status, body))
    }

    /// Reads more, or fails.
    async fn fill(&mut self) -> io::Result<()> {
        self.unread.reserve(1 << 16);
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Reads one body.
struct Reader<'a> {
    wire: &'a mut Wire,
    pace: Option<Pace>,
    leaves_after: Option<usize>,
    read: usize,
}

impl Reader<'_> {
    /// Skips this many bytes. Returns the length of the body so far, or `None` if the client
    /// leaves.
    async fn exactly(&mut self, bytes: usize) -> io::Result<Option<usize>> {
        let mut left = bytes;
        loop {
            if self.leaves_after.is_some_and(|after| self.read >= after) {
                return Ok(None);
            }
            if left == 0 {
                return Ok(Some(self.read));
            }
            if self.wire.unread.is_empty() {
                self.wire.fill().await?;
            }
            let taken = left.min(self.wire.unread.len());
            self.wire.unread.drain(..taken);
            left -= taken;
            self.read += taken;
            if let Some(pace) = &mut self.pace {
                pace.keep(taken).await;
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<Option<usize>> {
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(&line, 16);
            let size = size.map_err(|_| io::ErrorKind::InvalidData)?;
            let read = self.exactly(size).await?;
            if read.is_none() {
                return Ok(None);
            }
            self.line().await?;
            if size == 0 {
                return Ok(read);
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            let unread = &mut self.wire.unread;
            if let Some(at) = unread.windows(2).position(|two| two == b"\r\n") {
                let line = unread.drain(..at + 2).take(at).collect();
                return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            self.wire.fill().await?;
        }
    }
}

fn bytes_of(request: &RequestOnWire) -> Vec<u8> {
    let plan = &request.plan;
    let (method, path) = (plan.method, url(plan.path, request.number));
    let length = match plan.upload {
        0 => String::new(),
        upload => format!("content-length: {upload}\r\n"),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: soak\r\n{length}\r\n");
    let mut bytes = head.into_bytes();
    bytes.resize(bytes.len() + plan.upload, b'x');
    bytes
}
