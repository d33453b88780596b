//! What the integration tests in `tests/` are built on: servers that note when the operating system
//! took each byte, clients that misbehave on purpose, and one sequence that orders it all.
//!
//! - [`timeline`]: what happened, in which order; waiting for it.
//! - [`recorded_io`]: a listener whose connections note every write, and can be held back.
//! - [`http1_responses`], [`http2_frames`]: where each response ends in what the server wrote.
//! - [`flavours`]: the tokio runtimes a server can live on.
//! - [`foreign`]: a server that is not the library's own.
//! - [`server`]: an app on a socket, on a runtime of its own.
//! - [`served`]: one of several servers, on the runtime of its test.
//! - [`http1`], [`http2`]: clients, each close to the wire.
//! - [`client`]: either of them, for tests that hold for both protocols.
//! - [`tasks`]: tasks that leave marks.
//! - [`stalls`]: tasks that block their thread, and what they hold up.
//! - [`diary`]: what happened when, while time is paused.
//! - [`logs`]: what was logged.
//! - `durable`: stores of durable tasks, and servers for them; with the feature of that name.
//! - [`own_process`]: a process for a test of what is global to one.
//! - [`sources`]: the workspace's own files, for tests that read them.

pub mod client;
pub mod diary;
#[cfg(feature = "durable")]
pub mod durable;
pub mod flavours;
pub mod foreign;
pub mod http1;
pub mod http1_responses;
pub mod http2;
pub mod http2_frames;
pub mod logs;
pub mod own_process;
pub mod recorded_io;
pub mod served;
pub mod server;
pub mod sources;
pub mod stalls;
pub mod tasks;
pub mod timeline;

pub use client::{Client, Protocol};
pub use diary::Diary;
pub use flavours::Flavour;
pub use http1::Http1;
pub use http2::Http2;
pub use own_process::{in_own_process, run_again};
pub use served::Served;
pub use server::{Server, Serving, Setup, on_every_setup};
pub use timeline::{Moment, Timeline, eventually, within};
