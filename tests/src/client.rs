//! A client of either protocol, for what is promised for both.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::{http1::Http1, http2::Http2, recorded_io::ResponseEnd};

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, with prior knowledge.
    Http2,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];
}

/// One connection.
#[derive(Debug)]
pub enum Client {
    /// HTTP/1.1.
    Http1(Http1),
    /// HTTP/2.
    Http2(Http2),
}

/// What every response has.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// Where it ends on the connection.
    pub end: ResponseEnd,
}

impl Client {
    /// Connects.
    pub async fn connect(protocol: Protocol, server: SocketAddr) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Http1::connect(server).await),
            Protocol::Http2 => Self::Http2(Http2::connect(server).await),
        }
    }

    /// Sends a request without a body and reads the response.
    pub async fn fetch(&mut self, method: &str, path: &str) -> Response {
        match self {
            Self::Http1(client) => {
                let response = client.fetch(method, path).await;
                Response {
                    status: response.head.status,
                    body: response.body,
                    end: response.end,
                }
            }
            Self::Http2(client) => {
                let response = client.fetch(method, path).await;
                Response {
                    status: response.status.as_u16(),
                    body: response.body,
                    end: response.end,
                }
            }
        }
    }
}
