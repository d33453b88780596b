//! A PostgreSQL of one's own, in a directory of its own, on a free port of the loopback.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs, thread};

/// Where Debian, and others, put the programs of a server.
const FOLDERS: [&str; 3] = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"];

/// A server, which ends with this, and with the process that has it.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
    /// The server, and what ends it when this process ends, however that is.
    running: Option<Child>,
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
            let test = thread::current().name().unwrap_or("a test").to_owned();
            let is_ci = env::var("CI").is_ok_and(|ci| !ci.is_empty());
            assert!(!is_ci, "there is no PostgreSQL here for {test}");
            eprintln!("not run: {test}, because there is no PostgreSQL here (Debian: postgresql)");
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
        if let Some(mut running) = self.running.take() {
            let _ = running.wait();
        }
    }

    /// Starts the server again after [`stop`](Self::stop), and waits until it is ready.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn run(&mut self) {
        // The shell lives as long as its standard input, which ends with this process, and ends the server then.
        let script = r#""$0" "$@" & server=$!; cat >/dev/null; kill -QUIT $server 2>/dev/null; wait $server"#;
        let mut shell = as_other_user(Path::new("sh"));
        shell.arg("-c").arg(script);
        shell.arg(self.programs.join("postgres"));
        shell.arg("-D").arg(self.directory.path().join("data"));
        shell.arg("-k").arg(self.directory.path());
        shell.arg("-p").arg(self.port.to_string());
        shell.args(["-c", "listen_addresses=127.0.0.1"]);
        shell.args(["-c", "max_connections=300"]);
        for setting in &self.settings {
            shell.args(["-c", setting]);
        }
        shell.current_dir(self.directory.path());
        let running = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut running = running.expect("a shell");
        let mut log = BufReader::new(running.stderr.take().expect("it is piped"));
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = log.read_line(&mut line).expect("a log");
            assert!(read > 0, "PostgreSQL did not start:\n{said}");
            // A standby is ready to accept those that only read.
            if line.contains("ready to accept ") {
                break;
            }
            said.push_str(&line);
        }
        // Or the server would wait for somebody to read its log.
        thread::spawn(move || {
            let _ = log.read_to_end(&mut Vec::new());
        });
        self.running = Some(running);
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.stdin.take());
            let _ = running.wait();
        }
    }
}

/// A directory of the user under whom servers run.
pub(super) fn own_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    if let Some(user) = other_user() {
        chown(directory.path(), Some(user), None).expect("root may");
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(directory.path(), mode).expect("root may");
    }
    directory
}

/// Writes a file that only the user may read under whom servers run, as they ask of those with secrets.
pub(super) fn write_private(path: &Path, content: &str) {
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its owner may");
    if let Some(user) = other_user() {
        chown(path, Some(user), None).expect("root may");
    }
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
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

/// A user that is not root, under whom PostgreSQL does not run. `None` if this process is somebody else.
fn other_user() -> Option<u32> {
    let own = fs::metadata("/proc/self").ok()?;
    let is_root = std::os::unix::fs::MetadataExt::uid(&own) == 0;
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let uid = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    };
    is_root.then(|| uid("postgres").or_else(|| uid("nobody")))?
}

pub(super) fn as_other_user(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = other_user() {
        command.uid(user);
    }
    command.env_remove("PGDATA").env("LC_ALL", "C");
    command
}
