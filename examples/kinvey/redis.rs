//! A Redis for this example alone, in a directory of its own. An application has one already.

use std::env;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use examples::OwnServer;

/// What Redis should be told where its tasks matter: to write down what it is told, and to refuse what it has no room
/// for instead of forgetting something else.
const SETTINGS: [&str; 4] = ["--appendonly", "yes", "--maxmemory-policy", "noeviction"];

/// A server, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Before its directory, so that it ends before that is removed.
    _running: OwnServer,
    _directory: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// Starts a server; `None` where there is no Redis.
    pub(crate) fn start() -> io::Result<Option<Self>> {
        let Some(program) = program() else {
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (mut shell, text) = (Command::new("sh"), port.to_string());
        shell.current_dir(directory.path());
        let arguments = ["--bind", "127.0.0.1", "--port", &text, "--save", ""];
        let running = OwnServer::start(
            shell,
            "TERM",
            program,
            arguments.into_iter().chain(SETTINGS),
            "Ready to accept connections",
        )?;
        Ok(Some(Self {
            _running: running,
            _directory: directory,
            port,
        }))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut programs = env::split_paths(&path).map(|folder| folder.join("redis-server"));
    programs.find(|program| program.exists())
}
