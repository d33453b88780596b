//! The client's end of a connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Request;
use crate::messages::Messages;

/// A connection to a server on this machine, for requests one after the other.
pub(crate) struct Connection<'a> {
    server: &'a str,
    stream: TcpStream,
}

impl<'a> Connection<'a> {
    pub(crate) async fn open(server: &'a str) -> io::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        Ok(Self { server, stream })
    }

    /// Sends the request. Returns the status of the response when all of it is here.
    pub(crate) async fn send(&mut self, request: &Request) -> io::Result<u16> {
        let server = self.server;
        let message = request.message(server);
        self.stream.write_all(message.as_bytes()).await?;

        let mut received = Vec::new();
        let mut messages = Messages::default();
        let mut response = None;
        while response.is_none() {
            if self.stream.read_buf(&mut received).await? == 0 {
                let error = format!("{server} closed the connection instead of answering");
                return Err(io::Error::other(error));
            }
            messages.read(&received, |message| response = Some(message.to_owned()));
            received.clear();
        }
        let response = response.unwrap_or_default();
        let status = response.get(..3).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::Error::other(format!("{server} answered {response:?}")))
    }
}
