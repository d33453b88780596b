//! A PostgreSQL of one's own, in a directory of its own, on a free port of the loopback.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs};

use super::server_process::{
    RunningServer, as_other_user, free_port, other_user, own_directory, run_server, say_missing,
    write_private,
};

/// Where Debian, and others, put the programs of a server.
const FOLDERS: [&str; 3] = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"];

/// A server, which ends with this, and with the process that has it.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    /// Before its directory, so that it ends before that is removed.
    running: Option<RunningServer>,
    directory: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
}

impl PostgresServer {
    /// Returns the server that all tests of this process share; `None`, with a line that says so, where there is no
    /// PostgreSQL.
    ///
    /// # Panics
    ///
    /// Panics if there is none, and the variable `CI` is set and not empty.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<PostgresServer>> = OnceLock::new();
        let shared = SHARED.get_or_init(Self::start).as_ref();
        if shared.is_none() {
            say_missing("PostgreSQL", "postgresql");
        }
        shared
    }

    /// Starts a server. `None` where there is no PostgreSQL.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn start() -> Option<Self> {
        Self::start_with(&[], &[])
    }

    /// Starts a server with these settings, each as `name=value`, and these files beside its data: their names and
    /// contents. `None` where there is no PostgreSQL.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn start_with(settings: &[&str], files: &[(&str, &str)]) -> Option<Self> {
        let programs = programs()?;
        let directory = own_directory();
        let data = directory.path().join("data");
        let mut init = as_other_user(&programs.join("initdb"));
        init.args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        init.arg("--no-sync").arg("--pgdata").arg(&data);
        let output = init.current_dir(directory.path()).output();
        let output = output.expect("initdb is there");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for (name, content) in files {
            write_private(&data.join(name), content);
        }
        let mut server = Self {
            programs,
            directory,
            port: free_port(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            running: None,
        };
        server.run();
        Some(server)
    }

    /// Starts a standby of this server, which repeats what that does, and answers questions meanwhile.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn standby(&self) -> Self {
        let directory = own_directory();
        let mut copy = as_other_user(&self.programs.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        copy.arg("--pgdata").arg(directory.path().join("data"));
        copy.arg("--dbname").arg(self.url());
        let output = copy.current_dir(directory.path()).output();
        let output = output.expect("pg_basebackup is there");
        assert!(output.status.success(), "{output:?}");
        let mut standby = Self {
            programs: self.programs.clone(),
            directory,
            port: free_port(),
            settings: Vec::new(),
            running: None,
        };
        standby.run();
        standby
    }

    /// Gives a directory to the user under whom it runs.
    ///
    /// # Panics
    ///
    /// Panics if that is not allowed.
    pub fn own(&self, directory: &Path) {
        if let Some(user) = other_user() {
            chown(directory, Some(user), None).expect("root may");
        }
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The port that it listens on, of the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server: `fast`, which ends its connections, or `immediate`, which is a crash.
    ///
    /// # Panics
    ///
    /// Panics if it does not end.
    pub fn stop(&mut self, mode: &str) {
        let mut stop = as_other_user(&self.programs.join("pg_ctl"));
        stop.arg("--pgdata").arg(self.directory.path().join("data"));
        stop.args(["stop", "--mode", mode, "--wait"]);
        let output = stop.current_dir(self.directory.path()).output();
        let output = output.expect("pg_ctl is there");
        assert!(output.status.success(), "{output:?}");
        self.running = None;
    }

    /// Starts the server again after [`stop`](Self::stop), and waits until it is ready.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn run(&mut self) {
        let (data, port) = (self.directory.path().join("data"), self.port.to_string());
        let mut arguments: Vec<&OsStr> = ["-D".as_ref(), data.as_os_str()].to_vec();
        arguments.extend(["-k".as_ref(), self.directory.path().as_os_str()]);
        arguments.extend(["-p", &port].map(OsStr::new));
        let always = ["listen_addresses=127.0.0.1", "max_connections=300"];
        let own = self.settings.iter().map(String::as_str);
        for setting in always.into_iter().chain(own) {
            arguments.extend(["-c", setting].map(OsStr::new));
        }
        let program = self.programs.join("postgres");
        // A standby is ready to accept those that only read.
        let ready = "ready to accept ";
        let running = run_server(&program, &arguments, &self.directory, "QUIT", ready);
        self.running = Some(running);
    }
}

/// The folder of the newest server that is installed.
fn programs() -> Option<PathBuf> {
    let on_path = env::var_os("PATH").into_iter();
    let on_path = on_path.flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let installed = FOLDERS.into_iter().flat_map(|folder| {
        let versions = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
        versions.sort();
        versions.reverse();
        versions
    });
    let mut folders = installed.chain(on_path);
    folders.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
