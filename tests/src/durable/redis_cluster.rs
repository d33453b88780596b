//! Three servers of Redis that share the keys.

use std::time::Duration;

use super::RedisServer;
use super::redis_client::ask;
use super::server_process::free_port;

/// How many keys' slots there are.
const SLOTS: usize = 16_384;

/// A cluster, which ends with this.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts a cluster. `None` where there is no Redis.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub async fn start() -> Option<Self> {
        const NODES: usize = 3;
        let mut nodes = Vec::new();
        let mut meet = redis::pipe();
        for number in 0..NODES {
            let bus = free_port().to_string();
            let node = RedisServer::start_with(&[
                "--appendonly",
                "yes",
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
            ])?;
            let (first, last) = (SLOTS * number / NODES, SLOTS * (number + 1) / NODES - 1);
            let mut slots = redis::cmd("CLUSTER");
            slots.arg("ADDSLOTSRANGE").arg(first).arg(last);
            let () = ask(&node.url(), &slots).await.expect("it takes them");
            let mut epoch = redis::cmd("CLUSTER");
            epoch.arg("SET-CONFIG-EPOCH").arg(number + 1);
            let () = ask(&node.url(), &epoch).await.expect("it takes it");
            let meet = meet.cmd("CLUSTER").arg("MEET").arg("127.0.0.1");
            meet.arg(node.port()).arg(bus).ignore();
            nodes.push(node);
        }
        for command in meet.cmd_iter() {
            let () = ask(&nodes[0].url(), command).await.expect("they meet");
        }
        let mut state = redis::cmd("CLUSTER");
        state.arg("INFO");
        for node in &nodes {
            let agree = async {
                loop {
                    let info: String = ask(&node.url(), &state).await.expect("its state");
                    if info.contains("cluster_state:ok") {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            crate::within("a cluster", agree).await;
        }
        Some(Self { nodes })
    }

    /// The URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }
}
