//! One connection, as its client sees it.

use std::time::Duration;

use fastrand::Rng;
use tests::Protocol;

use super::{RequestPlan, RoundPlan, chance, draw, millis};

/// The most requests on one connection.
const REQUESTS: u64 = 8;

/// A connection and all that happens on it.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionPlan {
    /// The server that it is made to, of those of the term.
    pub(crate) server: usize,
    pub(crate) protocol: Protocol,
    /// Receives into a small buffer, so that what it does not read stays with the server.
    pub(crate) small_buffer: bool,
    /// On HTTP/1.1 one after the other; on HTTP/2 at the same time.
    pub(crate) requests: Vec<RequestOnWire>,
}

/// One request, and how its client behaves.
#[derive(Debug, Clone)]
pub(crate) struct RequestOnWire {
    pub(crate) number: u64,
    pub(crate) plan: RequestPlan,
    /// Before it is sent.
    pub(crate) wait: Duration,
    pub(crate) manner: Manner,
}

/// How a client takes its response.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    Reads,
    /// Pauses whenever it has read this many bytes.
    ReadsSlowly {
        bytes: usize,
        pause: Duration,
    },
    Leaves(Departure),
}

/// When a client goes away, and how.
#[derive(Debug, Clone)]
pub(crate) struct Departure {
    pub(crate) parting: Parting,
    /// Whether it breaks off: with `RST`, or on HTTP/2 by resetting only the stream. Otherwise it
    /// closes the connection.
    pub(crate) resets: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Parting {
    /// When it has sent this many percent of the request.
    InRequest(usize),
    /// This long after the request was sent, unless the head of the response is faster.
    BeforeHead(Duration),
    /// This long after the request was sent it sends no more, and reads on. HTTP/1.1 only.
    HalfClose(Duration),
    /// When it has read this many bytes of the body.
    InBody(usize),
}

impl ConnectionPlan {
    /// The number of the connection that a request comes on.
    pub(crate) fn of_request(request: u64) -> u64 {
        request / REQUESTS
    }

    pub(crate) fn draw(round: &RoundPlan, number: u64) -> Self {
        let rng = &mut draw(round.seed, &[round.round, 2, number]);
        let protocol = Protocol::ALL[rng.usize(..2)];
        let requests = match chance(rng, 50) {
            true => 1,
            false => rng.u64(2..=REQUESTS),
        };
        let requests = (0..requests).map(|nth| {
            let number = number * REQUESTS + nth;
            let plan = RequestPlan::draw(round, number);
            RequestOnWire {
                number,
                wait: match chance(rng, 50) {
                    true => Duration::ZERO,
                    false => millis(rng, 0..=6),
                },
                manner: Manner::draw(rng, protocol, &plan),
                plan,
            }
        });
        let requests = requests.collect();
        Self {
            server: rng.usize(..round.term_of(number).servers.len()),
            protocol,
            small_buffer: chance(rng, 20),
            requests,
        }
    }
}

impl Manner {
    fn draw(rng: &mut Rng, protocol: Protocol, plan: &RequestPlan) -> Self {
        let length = plan.body_length().unwrap_or(100_000);
        match rng.u32(0..10) {
            0..=5 => Self::Reads,
            6 => Self::ReadsSlowly {
                // Some dozen pauses for the largest body.
                bytes: rng.usize(100..5000) + length / 30,
                pause: millis(rng, 0..=5),
            },
            _ => Self::Leaves(Departure {
                parting: match rng.u32(0..8) {
                    0..=1 => Parting::InRequest(rng.usize(5..95)),
                    2..=4 => Parting::BeforeHead(millis(rng, 0..=8)),
                    5 if protocol == Protocol::Http1 => Parting::HalfClose(millis(rng, 0..=8)),
                    _ => Parting::InBody(rng.usize(0..=length)),
                },
                resets: rng.bool(),
            }),
        }
    }
}
