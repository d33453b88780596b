//! What other processes tell: of tasks, to whoever waits for them, and to workers what they are to do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::redis::RedisError;
use ::redis::aio::PubSub;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::timeout;

use super::Common;
use super::address::RedisAddress;
use super::failure::store_error;
use crate::durable::engine::StoreEvent;
use crate::durable::engine::told::parse;
use crate::durable::error::StoreError;
use crate::task::TaskId;

/// How long a connection may take to be made, and to answer.
const CONNECT: Duration = Duration::from_secs(3);

/// How long is waited before a lost connection is made again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long nothing is heard before the connection is looked at.
const SILENCE: Duration = Duration::from_secs(5);

/// Listens to one channel, on a connection of its own that is made anew when it is lost.
pub(super) struct Ear {
    address: RedisAddress,
    channel: String,
    open: Option<PubSub>,
}

/// What an ear hears.
pub(super) enum Heard {
    Message(String),
    /// What was said before this may be incomplete: the connection was lost.
    Gap,
}

impl Ear {
    pub(super) async fn new(address: RedisAddress, channel: String) -> Result<Self, RedisError> {
        let open = Some(connect(&address, &channel).await?);
        Ok(Self {
            address,
            channel,
            open,
        })
    }

    pub(super) async fn next(&mut self) -> Heard {
        loop {
            let Some(open) = &mut self.open else {
                tokio::time::sleep(AGAIN).await;
                if let Ok(open) = connect(&self.address, &self.channel).await {
                    self.open = Some(open);
                    return Heard::Gap;
                }
                continue;
            };
            let message = timeout(SILENCE, async { open.on_message().next().await }).await;
            match message {
                Ok(Some(message)) => match message.get_payload() {
                    Ok(message) => return Heard::Message(message),
                    Err(_) => continue,
                },
                Ok(None) => self.open = None,
                Err(_) => {
                    let answer = timeout(CONNECT, open.ping::<::redis::Value>()).await;
                    if !matches!(answer, Ok(Ok(_))) {
                        self.open = None;
                    }
                }
            }
        }
    }
}

/// One node of a cluster is enough: all of them pass on what is said on channels.
async fn connect(address: &RedisAddress, channel: &str) -> Result<PubSub, RedisError> {
    let clients = match address {
        RedisAddress::Server { client, .. } => vec![(**client).clone()],
        RedisAddress::Cluster { nodes, root } => {
            let nodes = nodes.iter();
            let nodes = nodes.map(|node| super::address::client(node, root.as_ref()));
            nodes.collect::<Result<_, _>>()?
        }
        RedisAddress::Invalid(why) => return Err(super::failure::invalid(why.clone())),
    };
    let mut last = std::io::Error::from(std::io::ErrorKind::TimedOut).into();
    for client in clients {
        let connected = timeout(CONNECT, async {
            let mut open = client.get_async_pubsub().await?;
            open.subscribe(channel).await?;
            Ok::<_, RedisError>(open)
        });
        match connected.await {
            Ok(Ok(open)) => return Ok(open),
            Ok(Err(error)) => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}

/// Listens to what becomes of tasks, from when it returns.
pub(super) async fn listen(
    shared: &Arc<Common>,
) -> Result<BoxStream<'static, StoreEvent>, StoreError> {
    let own = shared.clone();
    let alone = async move {
        let ear = Ear::new(own.address.clone(), own.channel(super::TOLD)).await;
        let ear = ear.map_err(|error| store_error(error, own.limit))?;
        let events = stream::unfold(ear, async |mut ear| {
            let events: VecDeque<_> = match ear.next().await {
                Heard::Message(lines) => lines.lines().filter_map(parse).collect(),
                Heard::Gap => [StoreEvent::Gap].into(),
            };
            Some((stream::iter(events), ear))
        });
        Ok(events.flatten().boxed())
    };
    shared.ears.listen(alone).await
}

/// What workers are told.
pub(super) enum Told {
    Cancel(TaskId),
    /// Tasks of a name that their worker did not know wait for one that does.
    Parked {
        queue: String,
        name: String,
    },
}

impl Told {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_at_checked(1)?;
        match kind {
            "c" => rest.parse().ok().map(Self::Cancel),
            "k" => {
                let (queue, name) = rest.split_once(':')?;
                Some(Self::Parked {
                    queue: queue.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => None,
        }
    }
}
