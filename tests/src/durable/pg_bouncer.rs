//! A PgBouncer before a server of the test's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, thread};

use super::PostgresServer;
use super::server_process::{
    RunningServer, free_port, own_directory, run_server, say_missing, write_private,
};

/// The first version that can keep prepared statements, as sqlx needs it in transaction mode.
const KEEPS_STATEMENTS: (u32, u32) = (1, 21);

/// A pooler, which ends with this, and with the process that has it.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    /// Before its directory, so that it ends before that is removed.
    _running: RunningServer,
    _directory: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts a pooler before a server, with these settings, each as `name = value`. `None`, with a line that says so,
    /// where there is no PgBouncer.
    ///
    /// # Panics
    ///
    /// Panics if it does not start, or if there is none, and the variable `CI` is set and not empty.
    pub fn start(server: &PostgresServer, settings: &[&str]) -> Option<Self> {
        let Some((program, _)) = installed() else {
            say_missing("PgBouncer", "pgbouncer");
            return None;
        };
        Some(Self::run(&program, server, settings))
    }

    /// As [`start`](Self::start) does, if it can keep prepared statements; `None`, with a line that says so, if not.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_with_statements(server: &PostgresServer, settings: &[&str]) -> Option<Self> {
        let settings = [settings, &["max_prepared_statements = 200"]].concat();
        match installed() {
            Some((_, version)) if version < KEEPS_STATEMENTS => {
                let ((major, minor), test) = (version, test());
                eprintln!(
                    "not run: {test}, because PgBouncer {major}.{minor} keeps no prepared statements (1.21 does)"
                );
                None
            }
            _ => Self::start(server, &settings),
        }
    }

    fn run(program: &Path, server: &PostgresServer, settings: &[&str]) -> Self {
        let (directory, port) = (own_directory(), free_port());
        let users = directory.path().join("users");
        write_private(&users, "\"postgres\" \"\"\n");
        let file = directory.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\n{}\n",
            server.port(),
            users.display(),
            settings.join("\n"),
        );
        write_private(&file, &text);
        let running = run_server(
            program,
            &[file.as_os_str()],
            &directory,
            "KILL",
            "process up",
        );
        Self {
            port,
            _running: running,
            _directory: directory,
        }
    }

    /// The URL of the server's database, by way of this.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port that it listens on, of the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether the one that is installed can keep prepared statements.
    pub fn can_keep_statements() -> Option<bool> {
        installed().map(|(_, version)| version >= KEEPS_STATEMENTS)
    }
}

/// The name of the test that runs.
fn test() -> String {
    thread::current().name().unwrap_or("a test").to_owned()
}

/// The program, and its version.
fn installed() -> Option<(PathBuf, (u32, u32))> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    // Debian's is for root alone.
    let folders = env::split_paths(&on_path).chain(["/usr/sbin".into()]);
    let program = folders
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.exists())?;
    let said = Command::new(&program).arg("--version").output();
    let said = String::from_utf8(said.expect("it starts").stdout).expect("a text");
    let version = said.split_whitespace().nth(1).expect("a version");
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten().expect("a number");
    Some((program, (next(), next())))
}
