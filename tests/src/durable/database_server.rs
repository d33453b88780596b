//! What tests ask of the server of a database, whichever that is.

use super::Place;
#[cfg(feature = "postgres")]
use super::PostgresServer;
#[cfg(feature = "redis")]
use super::RedisServer;

/// A server that goes away, and comes back.
pub trait DatabaseServer: Sized + Send + Sync + 'static {
    /// How [`stop`](Self::stop) is told to end it in order.
    const IN_ORDER: &'static str;
    /// How it is told to end as in a crash.
    const CRASH: &'static str;
    /// What a worker says that asks for tasks of the queue `default`, and has room for one.
    const CLAIM: &'static [u8];
    /// What the server answers who cancels a task.
    const CANCELLED: &'static [u8];
    /// What it answers who deletes one.
    const DELETED: &'static [u8];

    /// Returns the server that all tests of this process share; `None` where there is none.
    fn shared() -> Option<&'static Self>;

    /// Starts a server that keeps what it has answered for, also in a crash; `None` where there is none.
    fn own() -> Option<Self>;

    /// The port that it listens on, of the loopback.
    fn port(&self) -> u16;

    /// Ends it.
    fn stop(&mut self, how: &str);

    /// Starts it again.
    fn run(&mut self);

    /// Returns the store of this name, of a server behind this port.
    fn place_behind(port: u16, name: &str) -> Place;

    /// Returns the store of this name.
    fn place(&self, name: &str) -> Place {
        Self::place_behind(self.port(), name)
    }
}

#[cfg(feature = "postgres")]
impl DatabaseServer for PostgresServer {
    const IN_ORDER: &'static str = "fast";
    const CRASH: &'static str = "immediate";
    // It says of which queue it is, and for how many there is room.
    const CLAIM: &'static [u8] = b"default\0\0\0\x04\0\0\0\x01";
    const CANCELLED: &'static [u8] = b"UPDATE 1\0";
    const DELETED: &'static [u8] = b"DELETE 1\0";

    fn shared() -> Option<&'static Self> {
        Self::shared()
    }

    fn own() -> Option<Self> {
        Self::start()
    }

    fn port(&self) -> u16 {
        self.port()
    }

    fn stop(&mut self, how: &str) {
        self.stop(how);
    }

    fn run(&mut self) {
        self.run();
    }

    fn place_behind(port: u16, name: &str) -> Place {
        Place::Postgres {
            url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            schema: name.to_owned(),
        }
    }
}

#[cfg(feature = "redis")]
impl DatabaseServer for RedisServer {
    const IN_ORDER: &'static str = "TERM";
    const CRASH: &'static str = "KILL";
    // One of the keys of BullMQ's script, which no other asks for.
    const CLAIM: &'static [u8] = b":default:limiter";
    const CANCELLED: &'static [u8] = b"done\r\n";
    const DELETED: &'static [u8] = b"done\r\n";

    fn shared() -> Option<&'static Self> {
        Self::shared()
    }

    fn own() -> Option<Self> {
        // With `everysec` it answers before it has written, where its disk is slow.
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    fn port(&self) -> u16 {
        self.port()
    }

    fn stop(&mut self, how: &str) {
        self.stop(how);
    }

    fn run(&mut self) {
        self.run();
    }

    fn place_behind(port: u16, name: &str) -> Place {
        Place::Redis {
            url: format!("redis://127.0.0.1:{port}"),
            prefix: name.to_owned(),
        }
    }
}
