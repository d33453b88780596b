//! Where the keys are.

use std::sync::Arc;

use ::redis::{Client, IntoConnectionInfo, RedisError, TlsCertificates};

use super::BullMq;
use crate::durable::engine::Engine;
use crate::durable::settings::StoreSettings;
use crate::one_line::OneLine;

/// Of whoever certifies a server, as PEM.
pub(super) type Root = Arc<[u8]>;

/// Where the keys of a store are.
#[derive(Clone)]
pub(crate) enum RedisAddress {
    Server {
        client: Box<Client>,
        url: String,
        root: Option<Root>,
    },
    Cluster {
        nodes: Vec<String>,
        root: Option<Root>,
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
                root: None,
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
            None => Self::Cluster { nodes, root: None },
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
            Self::Cluster { nodes, .. } => {
                let nodes = nodes.iter();
                let nodes = nodes.filter_map(|node| node.as_str().into_connection_info().ok());
                let nodes: Vec<_> = nodes.map(|info| show(&info)).collect();
                format!("Redis cluster ({})", nodes.join(", "))
            }
            Self::Invalid(_) => "Redis".to_owned(),
        }
    }

    pub(crate) fn open(self, settings: &StoreSettings) -> Arc<dyn Engine> {
        let address = match &settings.root_certificate {
            None => self,
            Some(root) => self.trusting(root).unwrap_or_else(Self::Invalid),
        };
        Arc::new(BullMq::new(address, settings.clone()))
    }

    /// Returns the address of servers that this one certifies, or why that cannot be.
    fn trusting(self, root: &Root) -> Result<Self, String> {
        let wrong = |error: RedisError| {
            let error = crate::task::Chain(&error);
            format!(
                "`root_certificate(..)` of the store cannot be read: {}",
                OneLine(error)
            )
        };
        if !self.is_encrypted() {
            let why =
                "`root_certificate(..)` of the store is of no use without a `rediss://` address";
            return Err(why.to_owned());
        }
        // Nothing else is looked for, and none is no error of the client.
        let begin = b"-----BEGIN CERTIFICATE-----";
        if !root.windows(begin.len()).any(|found| found == begin) {
            return Err("`root_certificate(..)` of the store has no certificate as PEM".to_owned());
        }
        Ok(match self {
            Self::Server { url, .. } => Self::Server {
                client: Box::new(client(&url, Some(root)).map_err(wrong)?),
                url,
                root: Some(root.clone()),
            },
            Self::Cluster { nodes, .. } => {
                for node in &nodes {
                    client(node, Some(root)).map_err(wrong)?;
                }
                Self::Cluster {
                    nodes,
                    root: Some(root.clone()),
                }
            }
            Self::Invalid(why) => Self::Invalid(why),
        })
    }

    fn is_encrypted(&self) -> bool {
        match self {
            Self::Server { url, .. } => is_encrypted(url),
            Self::Cluster { nodes, .. } => nodes.iter().any(|node| is_encrypted(node)),
            Self::Invalid(_) => false,
        }
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
                _ => return self.tls_problem(settings),
            };
            return Some(format!("`prefix(..)` of the store {why}"));
        }
        self.tls_problem(settings)
    }

    fn tls_problem(&self, settings: &StoreSettings) -> Option<String> {
        if !self.is_encrypted() || provide_cryptography() {
            let root = settings.root_certificate.as_ref()?;
            return self.clone().trusting(root).err();
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
        let (options, root) = match self {
            Self::Server { url, root, .. } => (options.url(url), root),
            Self::Cluster { nodes, root } => {
                let options = ::bullmq::options::RedisConnectionOptions {
                    cluster_nodes: nodes.clone(),
                    ..options
                };
                (options, root)
            }
            Self::Invalid(_) => return options,
        };
        match root {
            None => options,
            Some(root) => options.tls_certs(::bullmq::options::TlsCerts {
                root_cert: Some(root.to_vec()),
                ..Default::default()
            }),
        }
    }
}

/// Connects to nothing yet.
pub(super) fn client(url: &str, root: Option<&Root>) -> Result<Client, RedisError> {
    match root {
        None => Client::open(url),
        Some(root) => Client::build_with_tls(url, certificates(root)),
    }
}

pub(super) fn certificates(root: &Root) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: Some(root.to_vec()),
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

#[cfg(all(test, not(feature = "redis-tls")))]
mod tests {
    use super::*;

    /// P-DURABLE-61
    #[test]
    fn an_address_that_asks_for_encryption_is_refused_without_redis_tls() {
        let url = "rediss://ada:s3cret@localhost";
        let nodes = ["redis://localhost", url].map(str::to_owned);
        let addresses = [
            RedisAddress::server(url),
            RedisAddress::cluster(nodes.to_vec()),
        ];
        for address in addresses {
            let problem = address.problem(&StoreSettings::default()).unwrap();
            assert!(
                problem.contains("switch the feature `redis-tls` on"),
                "{problem}"
            );
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
