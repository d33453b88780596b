//! Clients that do what was planned for them, politely or not, and take what comes.

mod http1;
mod http2;

use std::{io, net::SocketAddr, time::Duration};

use tests::{Protocol, timeline::LIMIT};
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    ledger::Ledger,
    plan::{ConnectionPlan, RequestOnWire},
    server::Target,
};

/// What became of one request, as its client saw it.
#[derive(Debug)]
pub(crate) enum Fate {
    /// All of the response was read.
    Read { status: u16, body: usize },
    /// The connection or the stream ended before that, by the server's doing.
    CutOff,
    /// The client left.
    Left,
}

/// Makes one connection and goes through its plan. Returns what is wrong with it, if anything.
pub(crate) async fn connection(
    ledger: &Ledger,
    targets: &[Target],
    plan: &ConnectionPlan,
) -> Result<(), String> {
    let target = &targets[plan.server];
    let Ok(stream) = connect(ledger, target.address, plan.small_buffer).await else {
        // The server does not listen any more.
        return Ok(());
    };
    let through = async {
        match plan.protocol {
            Protocol::Http1 => http1::go(ledger, target, stream, plan).await,
            Protocol::Http2 => http2::go(ledger, target, stream, plan).await,
        }
    };
    let fates = tokio::time::timeout(LIMIT, through).await;
    let fates = fates.map_err(|_| format!("{:?}: hung for {LIMIT:?}: {plan:?}", ledger.round()))?;
    // hyper closes a connection of HTTP/1.1 on which something was sent that is never read.
    let mut may_be_cut = false;
    for (request, fate) in plan.requests.iter().zip(&fates) {
        ledger.ended(request.number, fate);
        let unread = request.plan.upload > 0 && !request.plan.reads_upload;
        may_be_cut |= unread && plan.protocol == Protocol::Http1;
        if let Some(wrong) = wrong(ledger, request, fate, may_be_cut) {
            return Err(wrong);
        }
    }
    Ok(())
}

fn wrong(
    ledger: &Ledger,
    request: &RequestOnWire,
    fate: &Fate,
    may_be_cut: bool,
) -> Option<String> {
    let planned = request.plan.body_length();
    let fits = match *fate {
        Fate::Left => true,
        Fate::CutOff => planned.is_none() || may_be_cut || ledger.is_stopping(),
        Fate::Read { body, status } => match planned {
            Some(length) => body == length && status < 500 || status == 503,
            None => request.plan.panics() && status == 500,
        },
    };
    (!fits).then(|| {
        let name = ledger.name_of(request.number);
        format!("{name}: the response was {fate:?}, with {planned:?} bytes of body planned")
    })
}

/// Connects from an address that no connection of the round has had: the recorder of what the server
/// writes could not tell the two apart.
async fn connect(ledger: &Ledger, server: SocketAddr, small_buffer: bool) -> io::Result<TcpStream> {
    // Kept, so that the next attempt does not get the same port.
    let mut known = Vec::new();
    loop {
        let socket = TcpSocket::new_v4()?;
        if small_buffer {
            socket.set_recv_buffer_size(4096)?;
        }
        let stream = socket.connect(server).await?;
        if ledger.is_new_client(stream.local_addr()?) {
            stream.set_nodelay(true)?;
            return Ok(stream);
        }
        known.push(stream);
    }
}

/// Takes a pause whenever a number of bytes have been read.
struct Pace {
    bytes: usize,
    pause: Duration,
    read: usize,
}

impl Pace {
    fn new(bytes: usize, pause: Duration) -> Self {
        let read = 0;
        Self { bytes, pause, read }
    }

    async fn keep(&mut self, read: usize) {
        self.read += read;
        if self.read >= self.bytes {
            self.read = 0;
            tokio::time::sleep(self.pause).await;
        }
    }
}
