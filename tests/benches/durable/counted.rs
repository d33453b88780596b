//! A line to PostgreSQL that counts the statements on it, each of which is a round trip that somebody waits for. (When it
//! is done with a connection, sqlx asks whether that is still there. Nobody waits for the answer.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub(crate) struct Counted {
    pub(crate) port: u16,
    statements: Arc<AtomicUsize>,
}

impl Counted {
    /// Passes on to a server of this machine.
    pub(crate) async fn to(server: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let counted = Self {
            port: listener.local_addr()?.port(),
            statements: Arc::default(),
        };
        let counting = counted.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(counting.clone().pass_on(client, server));
            }
        });
        Ok(counted)
    }

    pub(crate) fn statements(&self) -> usize {
        self.statements.load(Ordering::Relaxed)
    }

    async fn pass_on(self, client: TcpStream, server: u16) -> std::io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", server)).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
        // The first message of a connection has no letter.
        let mut letter = None;
        loop {
            let (message, body) = next(&mut from_client).await?;
            // `Parse`, unless it is known already, `Execute`, and a simple query.
            if matches!(letter, Some(b'P' | b'E' | b'Q')) {
                self.statements.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(letter) = letter {
                to_server.write_u8(letter).await?;
            }
            to_server.write_u32(message).await?;
            to_server.write_all(&body).await?;
            letter = Some(from_client.read_u8().await?);
        }
    }
}

/// Reads the rest of a message: its length, and what it says.
async fn next(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u32, Vec<u8>)> {
    let length = from.read_u32().await?;
    let mut body = vec![0; (length as usize).saturating_sub(4)];
    from.read_exact(&mut body).await?;
    Ok((length, body))
}
