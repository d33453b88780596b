//! A connection of ours to Redis, made anew when it is lost.

use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster::ClusterClientBuilder;
use ::redis::cluster_async::ClusterConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    RedisFuture, ScriptInvocation, Value,
};
use tokio::sync::Mutex;

use super::address::RedisAddress;
use super::failure;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

pub(super) struct Link {
    address: RedisAddress,
    /// How long an answer may take.
    limit: Duration,
    open: Mutex<OpenLink>,
}

#[derive(Default)]
struct OpenLink {
    /// Of the connection, so that one which was lost is given up once.
    number: u64,
    connection: Option<LinkConnection>,
}

impl Link {
    /// Connects to nothing yet.
    pub(super) fn new(address: RedisAddress, limit: Duration) -> Self {
        Self {
            address,
            limit,
            open: Mutex::default(),
        }
    }

    /// Runs a script. What changes something and does not say whether it has done so already may run once only.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisError> {
        let (number, mut connection) = self.connection().await?;
        let answer = script.invoke_async(&mut connection).await;
        self.after(number, answer).await
    }

    /// Runs a script, once more if the connection was cut: it may have run already.
    pub(super) async fn run_again<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisError> {
        match self.run(script).await {
            Err(error) if failure::is_cut(&error) => match self.run(script).await {
                // What came of the first time is not known.
                Err(second) if failure::is_not_connected(&second) => Err(error),
                answer => answer,
            },
            answer => answer,
        }
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let (number, mut connection) = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        self.after(number, answer).await
    }

    /// Gives the connection up.
    pub(super) async fn disconnect(&self) {
        self.open.lock().await.connection = None;
    }

    async fn after<T>(&self, number: u64, answer: Result<T, RedisError>) -> Result<T, RedisError> {
        if let Err(error) = &answer
            && failure::is_of_connection(error)
        {
            let open = &mut *self.open.lock().await;
            if open.number == number {
                open.connection = None;
            }
        }
        answer
    }

    async fn connection(&self) -> Result<(u64, LinkConnection), RedisError> {
        let open = &mut *self.open.lock().await;
        if let Some(connection) = &open.connection {
            return Ok((open.number, connection.clone()));
        }
        let connection = self.connect().await.map_err(failure::not_connected)?;
        open.number += 1;
        open.connection = Some(connection.clone());
        Ok((open.number, connection))
    }

    async fn connect(&self) -> Result<LinkConnection, RedisError> {
        match &self.address {
            RedisAddress::Server { client, .. } => {
                let info = client.get_connection_info().clone();
                // A connection that dies without a word is given up.
                let tcp = TcpSettings::default().set_nodelay(true);
                #[cfg(target_os = "linux")]
                let tcp = tcp.set_user_timeout(self.limit);
                let client = Client::open(info.set_tcp_settings(tcp))?;
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT.min(self.limit)))
                    .set_response_timeout(Some(self.limit));
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                Ok(LinkConnection::Server(connection.await?))
            }
            RedisAddress::Cluster { nodes, root } => {
                let nodes: Result<Vec<_>, _> = nodes
                    .iter()
                    .map(|node| node.as_str().into_connection_info())
                    .collect();
                let client = ClusterClientBuilder::new(nodes?)
                    .connection_timeout(CONNECT.min(self.limit))
                    .response_timeout(self.limit);
                let client = match root {
                    None => client,
                    Some(root) => client.certs(super::address::certificates(root)),
                };
                let client = client.build()?;
                Ok(LinkConnection::Cluster(
                    client.get_async_connection().await?,
                ))
            }
            RedisAddress::Invalid(why) => Err(failure::invalid(why.clone())),
        }
    }
}

#[derive(Clone)]
enum LinkConnection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for LinkConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
