//! A Redis for this example alone, in a directory of its own. An application has one already.

use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{env, thread};

/// Keeps the server as long as its standard input is open, which ends with this process, however that is.
const KEEPER: &str =
    r#""$0" "$@" & server=$!; cat >/dev/null; kill -TERM $server 2>/dev/null; wait $server"#;

/// What Redis should be told where its tasks matter: to write down what it is told, and to refuse what it has no room
/// for instead of forgetting something else.
const SETTINGS: [&str; 4] = ["--appendonly", "yes", "--maxmemory-policy", "noeviction"];

/// A server, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    _directory: tempfile::TempDir,
    keeper: Child,
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
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", ""])
            .args(SETTINGS)
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let log = keeper.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let server = Self {
            _directory: directory,
            keeper,
            port,
        };
        wait_until_ready(BufReader::new(log))?;
        Ok(Some(server))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn wait_until_ready(mut log: impl BufRead + Send + 'static) -> io::Result<()> {
    let mut said = String::new();
    loop {
        let before = said.len();
        if log.read_line(&mut said)? == 0 {
            return Err(io::Error::other(format!("Redis did not start:\n{said}")));
        }
        if said[before..].contains("Ready to accept connections") {
            break;
        }
    }
    // Or the server would wait for somebody to read on.
    thread::spawn(move || log.read_to_end(&mut Vec::new()));
    Ok(())
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut programs = env::split_paths(&path).map(|folder| folder.join("redis-server"));
    programs.find(|program| program.exists())
}
