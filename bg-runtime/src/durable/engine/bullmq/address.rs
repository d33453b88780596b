//! Where the keys are.

use std::sync::Arc;

use ::redis::{Client, IntoConnectionInfo, RedisError};

use super::BullMq;
use crate::durable::engine::Engine;
use crate::durable::settings::StoreSettings;
use crate::one_line::OneLine;

/// Where the keys of a store are.
#[derive(Clone)]
pub(crate) enum RedisAddress {
    Server {
        client: Box<Client>,
        url: String,
    },
    Cluster {
        nodes: Vec<String>,
    },
    /// What was given is no address.
    Invalid(String),
}

/// Without the password.
impl std::fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

impl RedisAddress {
    pub(crate) fn server(url: &str) -> Self {
        match Client::open(url) {
            Ok(client) => Self::Server {
                client: Box::new(client),
                url: url.to_owned(),
            },
            Err(error) => Self::Invalid(explained("`Redis::url(..)`", &error)),
        }
    }

    pub(crate) fn cluster(nodes: Vec<String>) -> Self {
        if nodes.is_empty() {
            return Self::Invalid("`Redis::cluster([..])` names no node".to_owned());
        }
        let wrong = nodes
            .iter()
            .find_map(|node| node.as_str().into_connection_info().err());
        match wrong {
            None => Self::Cluster { nodes },
            Some(error) => Self::Invalid(explained("`Redis::cluster([..])`", &error)),
        }
    }

    pub(super) fn describe(&self) -> String {
        let show = |info: &::redis::ConnectionInfo| info.addr().to_string();
        match self {
            Self::Server { client, .. } => {
                let info = client.get_connection_info();
                let db = match info.redis_settings().db() {
                    0 => String::new(),
                    db => format!("/{db}"),
                };
                format!("Redis ({}{db})", show(info))
            }
            Self::Cluster { nodes } => {
                let nodes = nodes.iter();
                let nodes = nodes.filter_map(|node| node.as_str().into_connection_info().ok());
                let nodes: Vec<_> = nodes.map(|info| show(&info)).collect();
                format!("Redis cluster ({})", nodes.join(", "))
            }
            Self::Invalid(_) => "Redis".to_owned(),
        }
    }

    pub(crate) fn open(self, settings: &StoreSettings) -> Arc<dyn Engine> {
        Arc::new(BullMq::new(self, settings.clone()))
    }

    /// Returns what cannot be, whatever is at the address.
    pub(crate) fn problem(&self, settings: &StoreSettings) -> Option<String> {
        if let Self::Invalid(why) = self {
            return Some(why.clone());
        }
        if let Some(prefix) = &settings.prefix {
            let why = match prefix {
                prefix if prefix.is_empty() => "is empty: name one, or leave it out",
                // Keys are split there.
                prefix if prefix.contains(':') => "cannot be used: it has the character `:`",
                prefix if prefix.contains(['\0', '\n', '\r']) => {
                    "cannot be used: it has a control character"
                }
                _ => return self.tls_problem(),
            };
            return Some(format!("`prefix(..)` of the store {why}"));
        }
        self.tls_problem()
    }

    fn tls_problem(&self) -> Option<String> {
        let is_encrypted = match self {
            Self::Server { url, .. } => is_encrypted(url),
            Self::Cluster { nodes } => nodes.iter().any(|node| is_encrypted(node)),
            Self::Invalid(_) => false,
        };
        if !is_encrypted || provide_cryptography() {
            return None;
        }
        Some(
            "the address asks for an encrypted connection: switch the feature `redis-tls` on, or install a \
             `CryptoProvider` of rustls"
                .to_owned(),
        )
    }

    /// Returns how all keys begin, without the `:` behind it. In a cluster, what is between braces says the node.
    pub(super) fn prefix(&self, settings: &StoreSettings) -> String {
        let prefix = settings.prefix.as_deref().unwrap_or("bg");
        match self {
            Self::Cluster { .. } if !prefix.contains('{') => format!("{{{prefix}}}"),
            _ => prefix.to_owned(),
        }
    }

    /// Returns how the clients of BullMQ connect.
    pub(super) fn options(&self) -> ::bullmq::options::RedisConnectionOptions {
        let options = ::bullmq::options::RedisConnectionOptions::new();
        match self {
            Self::Server { url, .. } => options.url(url),
            Self::Cluster { nodes } => ::bullmq::options::RedisConnectionOptions {
                cluster_nodes: nodes.clone(),
                ..options
            },
            Self::Invalid(_) => options,
        }
    }
}

fn explained(given: &str, error: &RedisError) -> String {
    let error = crate::task::Chain(error);
    format!(
        "what was given to {given} is no URL of Redis, as `redis://user:password@host:6379/0` is: {}",
        OneLine(error)
    )
}

fn is_encrypted(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| ["rediss", "valkeys"].contains(&scheme))
}

/// Returns whether there is what encrypts connections, of the application or else of this crate.
fn provide_cryptography() -> bool {
    if rustls::crypto::CryptoProvider::get_default().is_some() {
        return true;
    }
    #[cfg(feature = "redis-tls")]
    {
        // An error says that another thread was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        true
    }
    #[cfg(not(feature = "redis-tls"))]
    false
}
