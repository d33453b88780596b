//! What servers of tests have in common: each is a process that ends with the test, under a user that is not root, in a
//! directory of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fs, thread};

/// A server that runs. It ends with this, and with the process that has it, however that is.
#[derive(Debug)]
pub(super) struct RunningServer(Child);

impl Drop for RunningServer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Starts a server in its directory, and waits until it says in its log that it is ready. It ends by the signal.
pub(super) fn run_server(
    program: &Path,
    arguments: &[&OsStr],
    directory: &tempfile::TempDir,
    signal: &str,
    ready: &str,
) -> RunningServer {
    // The shell lives as long as its standard input, which ends with this process, and ends the server then. It leaves
    // the log to the server, so that the log of one that does not start ends.
    let script = format!(
        r#""$0" "$@" >&2 & server=$!; exec 2>/dev/null; cat >/dev/null; kill -{signal} $server; wait $server"#
    );
    let mut shell = as_other_user(Path::new("sh"));
    shell.arg("-c").arg(script).arg(program).args(arguments);
    shell.current_dir(directory.path());
    let running = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = running.expect("a shell");
    let mut log = BufReader::new(running.stderr.take().expect("it is piped"));
    let mut said = String::new();
    while !said.contains(ready) {
        let read = log.read_line(&mut said).expect("a log");
        assert!(read > 0, "{} did not start:\n{said}", program.display());
    }
    // Or the server would wait for somebody to read its log.
    thread::spawn(move || {
        let _ = log.read_to_end(&mut Vec::new());
    });
    RunningServer(running)
}

/// Says that a test does not run, because there is no such server here, which `package` of Debian has.
///
/// # Panics
///
/// Panics if the variable `CI` is set and not empty.
pub(super) fn say_missing(server: &str, package: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let is_ci = env::var("CI").is_ok_and(|ci| !ci.is_empty());
    assert!(!is_ci, "there is no {server} here for {test}");
    eprintln!("not run: {test}, because there is no {server} here (Debian: {package})");
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

/// A user that is not root, under whom PostgreSQL does not run. `None` if this process is somebody else.
pub(super) fn other_user() -> Option<u32> {
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
