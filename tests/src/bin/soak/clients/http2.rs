//! HTTP/2, all requests of a connection at the same time. Written frame by frame, so that the
//! numbers of streams are known, and a client can leave between any two of them.

use std::{io, net::SocketAddr, time::Duration};

use tests::{
    http2_frames::{DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame},
    recorded_io::ResponseEnd,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until},
};

use super::{Fate, Pace};
use crate::{
    app::url,
    ledger::Ledger,
    plan::{ConnectionPlan, Departure, Manner, Parting, RequestOnWire},
    server::Target,
};

const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;

const ACK: u8 = 0x1;

const CANCEL: u32 = 0x8;
const SMALL_WINDOW: u32 = 16 << 10;
const LARGE_WINDOW: u32 = 1 << 20;

/// Goes through the plan as far as the connection lasts.
pub(super) async fn go(
    ledger: &Ledger,
    target: &Target,
    stream: TcpStream,
    plan: &ConnectionPlan,
) -> Vec<Fate> {
    let Ok(address) = stream.local_addr() else {
        return Vec::new();
    };
    let begun = Instant::now();
    let exchanges = plan.requests.iter().map(|request| Exchange {
        request,
        stream: None,
        next: Some((Step::Send, begun + request.wait)),
        status: 0,
        read: 0,
        pace: match request.manner {
            Manner::ReadsSlowly { bytes, pause } => Some(Pace::new(bytes, pause)),
            _ => None,
        },
        fate: None,
    });
    let mut client = Client {
        ledger,
        target,
        stream,
        address,
        unread: Vec::new(),
        exchanges: exchanges.collect(),
        next_stream: 1,
        closes: false,
    };
    let window = match plan.small_buffer {
        true => SMALL_WINDOW,
        false => LARGE_WINDOW,
    };
    let ended = client.run(window).await;
    if ended.is_err() || client.closes {
        client.give_up_rest();
    }
    let fates = client.exchanges.into_iter();
    fates
        .map(|exchange| exchange.fate.unwrap_or(Fate::CutOff))
        .collect()
}

struct Client<'a> {
    ledger: &'a Ledger,
    target: &'a Target,
    stream: TcpStream,
    address: SocketAddr,
    unread: Vec<u8>,
    exchanges: Vec<Exchange<'a>>,
    next_stream: u32,
    /// Whether one of the requests has closed the connection.
    closes: bool,
}

/// One request on its stream.
struct Exchange<'a> {
    request: &'a RequestOnWire,
    /// Its number, once the request is sent.
    stream: Option<u32>,
    /// The next step, and when it is due.
    next: Option<(Step, Instant)>,
    status: u16,
    read: usize,
    pace: Option<Pace>,
    fate: Option<Fate>,
}

#[derive(Clone, Copy)]
enum Step {
    Send,
    Leave,
}

impl Exchange<'_> {
    fn departure(&self) -> Option<&Departure> {
        match &self.request.manner {
            Manner::Leaves(departure) => Some(departure),
            Manner::Reads | Manner::ReadsSlowly { .. } => None,
        }
    }

    /// When it leaves, counted from the end of its request.
    fn patience(&self) -> Option<Duration> {
        match self.departure()?.parting {
            Parting::BeforeHead(time) | Parting::HalfClose(time) => Some(time),
            Parting::InRequest(_) => Some(Duration::from_millis(1)),
            Parting::InBody(_) => None,
        }
    }

    fn has_read_enough(&self) -> bool {
        match self.departure() {
            Some(departure) => match departure.parting {
                Parting::InBody(bytes) => self.read >= bytes,
                _ => false,
            },
            None => false,
        }
    }
}

impl Client<'_> {
    async fn run(&mut self, window: u32) -> io::Result<()> {
        let mut hello = PREFACE.to_vec();
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        hello.extend(frame(SETTINGS, 0, 0, &settings));
        let more = window.saturating_sub(65_535);
        if more > 0 {
            hello.extend(frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes()));
        }
        self.stream.write_all(&hello).await?;
        while !self.closes && self.exchanges.iter().any(|one| one.fate.is_none()) {
            self.step().await?;
        }
        Ok(())
    }

    /// Does what is due, or takes the next frame.
    async fn step(&mut self) -> io::Result<()> {
        let due = self.exchanges.iter().enumerate();
        let due = due.filter_map(|(nth, exchange)| Some((exchange.next?, nth)));
        let due = due.min_by_key(|((_, at), _)| *at);
        if let Some(((step, at), nth)) = due {
            if at <= Instant::now() {
                self.exchanges[nth].next = None;
                return match step {
                    Step::Send => self.send(nth).await,
                    Step::Leave => self.leave(nth).await,
                };
            }
        }
        if let Some(frame) = self.take_frame() {
            return self.take(frame).await;
        }
        self.unread.reserve(1 << 16);
        tokio::select! {
            read = self.stream.read_buf(&mut self.unread) => match read? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            },
            () = async {
                match due {
                    Some(((_, at), _)) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => Ok(()),
        }
    }

    async fn send(&mut self, nth: usize) -> io::Result<()> {
        let exchange = &mut self.exchanges[nth];
        let (number, plan) = (exchange.request.number, &exchange.request.plan);
        let stream = self.next_stream;
        self.next_stream += 2;
        exchange.stream = Some(stream);
        let end = ResponseEnd::Stream(self.address, stream);
        self.ledger.sent(number, plan, end, self.target);
        let body = vec![b'x'; plan.upload];
        let (sent, complete) = match exchange.departure().map(|departure| departure.parting) {
            Some(Parting::InRequest(percent)) => (body.len() * percent / 100, false),
            _ => (body.len(), true),
        };
        let ends = |last: bool| if last && complete { END_STREAM } else { 0 };
        let flags = END_HEADERS | ends(body.is_empty());
        let mut bytes = frame(HEADERS, flags, stream, &header_block(exchange.request));
        if !body.is_empty() {
            bytes.extend(frame(DATA, ends(true), stream, &body[..sent]));
        }
        if let Some(patience) = exchange.patience() {
            exchange.next = Some((Step::Leave, Instant::now() + patience));
        }
        self.stream.write_all(&bytes).await
    }

    async fn leave(&mut self, nth: usize) -> io::Result<()> {
        let exchange = &mut self.exchanges[nth];
        if exchange.fate.is_some() {
            return Ok(());
        }
        exchange.next = None;
        exchange.fate = Some(Fate::Left);
        self.ledger.given_up(exchange.request.number);
        let resets = exchange
            .departure()
            .is_none_or(|departure| departure.resets);
        if let (true, Some(stream)) = (resets, exchange.stream) {
            let reset = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            return self.stream.write_all(&reset).await;
        }
        self.closes = true;
        Ok(())
    }

    /// Gives up all exchanges that have not ended when the connection does.
    fn give_up_rest(&mut self) {
        for exchange in &mut self.exchanges {
            if exchange.fate.is_none() {
                self.ledger.given_up(exchange.request.number);
                if self.closes {
                    exchange.fate = Some(Fate::Left);
                }
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let header = self.unread.get(..9)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let (kind, flags) = (header[3], header[4]);
        let stream = u32::from_be_bytes(header[5..9].try_into().ok()?) & 0x7fff_ffff;
        let payload = self.unread.get(9..9 + length)?.to_vec();
        self.unread.drain(..9 + length);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    async fn take(&mut self, incoming: Frame) -> io::Result<()> {
        let Frame {
            kind,
            flags,
            stream,
            payload,
        } = incoming;
        match kind {
            SETTINGS if flags & ACK == 0 => {
                return self.stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await;
            }
            PING if flags & ACK == 0 => {
                return self.stream.write_all(&frame(PING, ACK, 0, &payload)).await;
            }
            _ => {}
        }
        let nth = self
            .exchanges
            .iter()
            .position(|one| one.stream == Some(stream));
        let Some(nth) = nth else { return Ok(()) };
        let exchange = &mut self.exchanges[nth];
        match kind {
            RST_STREAM => {
                exchange.next = None;
                exchange.fate.get_or_insert(Fate::CutOff);
                return Ok(());
            }
            HEADERS if exchange.status == 0 => exchange.status = status(&payload),
            DATA => {
                exchange.read += payload.len();
                if let Some(pace) = &mut exchange.pace {
                    pace.keep(payload.len()).await;
                }
            }
            _ => return Ok(()),
        }
        if exchange.has_read_enough() {
            self.leave(nth).await?;
        } else if flags & END_STREAM != 0 && exchange.fate.is_none() {
            exchange.next = None;
            exchange.fate = Some(Fate::Read {
                status: exchange.status,
                body: exchange.read,
            });
        }
        if kind == DATA && !payload.is_empty() {
            let read = u32::try_from(payload.len()).expect("a frame");
            let mut updates = frame(WINDOW_UPDATE, 0, 0, &read.to_be_bytes());
            if self.exchanges[nth].fate.is_none() {
                updates.extend(frame(WINDOW_UPDATE, 0, stream, &read.to_be_bytes()));
            }
            self.stream.write_all(&updates).await?;
        }
        Ok(())
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// The request's head: literals that no table keeps, under names of the static table.
fn header_block(request: &RequestOnWire) -> Vec<u8> {
    const AUTHORITY: u8 = 1;
    const METHOD: u8 = 2;
    const PATH: u8 = 4;
    const SCHEME: u8 = 6;
    const CONTENT_LENGTH: u8 = 28;
    let plan = &request.plan;
    let path = url(plan.path, request.number);
    let length = plan.upload.to_string();
    let mut fields = vec![
        (METHOD, plan.method),
        (SCHEME, "http"),
        (PATH, &path),
        (AUTHORITY, "soak"),
    ];
    if plan.upload > 0 {
        fields.push((CONTENT_LENGTH, &length));
    }
    let mut block = Vec::new();
    for (name, value) in fields {
        match name {
            // Four bits hold no more: the rest follows.
            CONTENT_LENGTH => block.extend([0x0f, name - 0x0f]),
            _ => block.push(name),
        }
        block.push(u8::try_from(value.len()).expect("a short value"));
        block.extend(value.bytes());
    }
    block
}

/// Returns the status of a response if it is one of the static table's, and 299 for any other.
fn status(block: &[u8]) -> u16 {
    match block.first() {
        Some(0x88) => 200,
        Some(0x89) => 204,
        Some(0x8b) => 304,
        Some(0x8d) => 404,
        Some(0x8e) => 500,
        _ => 299,
    }
}
