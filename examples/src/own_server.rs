//! The server of a database for one example alone. An application has one already.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::{env, thread};

/// A server, which ends with this, and with this process, however that is.
#[derive(Debug)]
pub struct OwnServer(Child);

impl OwnServer {
    /// Has `shell`, a command for `sh`, run a program until its standard input is closed, and waits until that says
    /// `ready`. The signal ends it.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or ends before it is ready: with what it has said.
    pub fn start(
        mut shell: Command,
        signal: &str,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        ready: &str,
    ) -> io::Result<Self> {
        let keep = format!(
            r#""$0" "$@" >&2 & server=$!; cat >/dev/null; kill -{signal} $server 2>/dev/null; wait $server"#
        );
        let mut keeper = shell
            .args(["-c", &keep])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = keeper.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let server = Self(keeper);
        wait_until(ready, BufReader::new(log))?;
        Ok(server)
    }

    /// Says that an example does not run, because there is no server here: as an error, or with `--once` and outside CI
    /// as a line.
    ///
    /// # Errors
    ///
    /// If it is one.
    pub fn missing(once: bool, why: &str) -> Result<(), Box<dyn std::error::Error>> {
        let is_ci = env::var("CI").is_ok_and(|ci| !ci.is_empty());
        if once && !is_ci {
            println!("not run: {why}");
            return Ok(());
        }
        Err(why.into())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn wait_until(ready: &str, mut log: impl BufRead + Send + 'static) -> io::Result<()> {
    let mut said = String::new();
    loop {
        let before = said.len();
        if log.read_line(&mut said)? == 0 {
            return Err(io::Error::other(format!(
                "the server did not start:\n{said}"
            )));
        }
        if said[before..].contains(ready) {
            break;
        }
    }
    // Or the server would wait for somebody to read on.
    thread::spawn(move || log.read_to_end(&mut Vec::new()));
    Ok(())
}
