//! A Redis of one's own, in a directory of its own, on a free port of the loopback.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::server_process::{
    RunningServer, free_port, own_directory, run_server, say_missing, write_private,
};

/// A server, which ends with this, and with the process that has it.
#[derive(Debug)]
pub struct RedisServer {
    program: PathBuf,
    /// Before its directory, so that it ends before that is removed.
    running: Option<RunningServer>,
    directory: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
}

impl RedisServer {
    /// Returns the server that all tests of this process share; `None`, with a line that says so, where there is no
    /// Redis.
    ///
    /// # Panics
    ///
    /// Panics if there is none, and the variable `CI` is set and not empty.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<RedisServer>> = OnceLock::new();
        let shared = SHARED.get_or_init(Self::start).as_ref();
        if shared.is_none() {
            say_missing("Redis", "redis-server");
        }
        shared
    }

    /// Starts a server that keeps what it is told. `None` where there is no Redis.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn start() -> Option<Self> {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "everysec"])
    }

    /// Starts a server with these arguments. `None` where there is no Redis.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn start_with(settings: &[&str]) -> Option<Self> {
        Self::start_beside(settings, &[])
    }

    /// Starts a server with these arguments, and these files in its directory: their names and contents. `None` where
    /// there is no Redis.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn start_beside(settings: &[&str], files: &[(&str, &str)]) -> Option<Self> {
        let path = env::var_os("PATH")?;
        let mut folders = env::split_paths(&path);
        let program = folders.find_map(|folder| {
            let program = folder.join("redis-server");
            program.exists().then_some(program)
        })?;
        let directory = own_directory();
        for (name, content) in files {
            write_private(&directory.path().join(name), content);
        }
        let mut server = Self {
            program,
            directory,
            port: free_port(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            running: None,
        };
        server.run();
        Some(server)
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on, of the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server: with `TERM`, which ends its connections and writes what it has, or `KILL`, which is a crash.
    ///
    /// # Panics
    ///
    /// Panics if it does not end.
    pub fn stop(&mut self, signal: &str) {
        // Of the shell that waits for it, by the port that is its own.
        let pid = std::fs::read_to_string(self.directory.path().join("pid"));
        let pid = pid.expect("it has written its number");
        let killed = Command::new("kill")
            .args(["-s", signal, pid.trim()])
            .status();
        assert!(killed.expect("there is a `kill`").success());
        self.running = None;
    }

    /// Starts the server again after [`stop`](Self::stop), and waits until it is ready.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn run(&mut self) {
        let port = self.port.to_string();
        let always = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--pidfile",
            "pid",
            "--auto-aof-rewrite-percentage",
            "0",
        ];
        let own = self.settings.iter().map(String::as_str);
        let arguments: Vec<_> = always.into_iter().chain(own).map(OsStr::new).collect();
        let ready = "Ready to accept connections";
        let running = run_server(&self.program, &arguments, &self.directory, "TERM", ready);
        self.running = Some(running);
    }
}
