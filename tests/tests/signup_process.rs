//! The `signup` example as a process of its own: what a signal to stop does to it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use tests::{Http1, Http2, within};

const FORM: &[u8] = br#"{"name":"grace","email":"grace@example.com"}"#;

/// The path of the built example. Cargo has built it already when it tests the whole workspace.
fn executable() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "-p",
        "tests",
        "-p",
        "examples",
        "--example",
        "signup",
    ]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let built = build.status().expect("cargo runs");
    assert!(built.success(), "the example builds");
    let test = std::env::current_exe().expect("a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    profile.join("examples").join("signup")
}

/// The running example. Killed when a test ends without stopping it.
struct Signup {
    process: Child,
    output: Receiver<String>,
    address: SocketAddr,
}

impl Signup {
    fn start() -> Self {
        let mut process = Command::new(executable())
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let (lines, output) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let mut signup = Self {
            process,
            output,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = signup.line_with("http://");
        let address = line.split_once("http://").expect("it was just there").1;
        let address = address.split('/').next().expect("a path follows");
        signup.address = address.parse().expect("an address");
        signup
    }

    /// Reads on to the line that contains `text`.
    fn line_with(&self, text: &str) -> String {
        let deadline = Instant::now() + tests::timeline::LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.output.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line with {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.process.id().to_string())
            .status();
        assert!(kill.expect("`kill` runs").success());
    }

    fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + tests::timeline::LIMIT;
        loop {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not exit");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Signup {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The number before `word` in a report.
fn count(report: &str, word: &str) -> u64 {
    let words: Vec<_> = report
        .split([' ', ',', ';'])
        .filter(|word| !word.is_empty())
        .collect();
    let at = words.iter().position(|other| *other == word);
    let at = at.unwrap_or_else(|| panic!("{word} in {report:?}"));
    words[at - 1].parse().expect("a number")
}

/// Signs up until the server takes no more. Returns the number of sign-ups that were confirmed.
async fn sign_up_until_it_stops(address: SocketAddr) -> u64 {
    let mut confirmed = 0;
    loop {
        let Ok(stream) = tokio::net::TcpStream::connect(address).await else {
            return confirmed;
        };
        drop(stream);
        let client = tokio::spawn(async move {
            let mut client = Http1::connect(address).await;
            let mut confirmed = 0;
            for _ in 0..10 {
                let response = client.fetch_with("POST", "/sign-up", FORM).await;
                assert_eq!(response.head.status, 201);
                confirmed += 1;
                if response.head.header("connection") == Some("close") {
                    break;
                }
            }
            confirmed
        });
        // A connection that is closed under its request was refused: nothing was promised on it.
        match client.await {
            Ok(more) => confirmed += more,
            Err(_) => return confirmed,
        }
    }
}

async fn is_drained_after(signal: &str) {
    let mut signup = tokio::task::spawn_blocking(Signup::start).await.unwrap();
    let address = signup.address;

    let mut idle = Vec::new();
    for _ in 0..5 {
        let mut client = Http1::connect(address).await;
        let response = client.fetch_with("POST", "/sign-up", FORM).await;
        assert_eq!(response.head.status, 201);
        idle.push(client);
    }
    let mut idle_http2 = Http2::connect(address).await;
    let response = idle_http2.fetch_with("POST", "/sign-up", FORM).await;
    assert_eq!(response.status, 201);
    let silent = tokio::net::TcpStream::connect(address).await.unwrap();

    let load: Vec<_> = (0..4)
        .map(|_| tokio::spawn(sign_up_until_it_stops(address)))
        .collect();
    let mut client = Http1::connect(address).await;
    for _ in 0..10 {
        client.fetch_with("POST", "/sign-up", FORM).await;
    }

    let begun = Instant::now();
    signup.signal(signal);
    // At least the one that the example sends to itself, and those above.
    let mut confirmed = 1 + 5 + 1 + 10;
    for client in load {
        confirmed += within("the load ends", client).await.unwrap();
    }
    let (report, status, signup) = tokio::task::spawn_blocking(move || {
        let report = signup.line_with("background tasks:");
        (report, signup.exit(), signup)
    })
    .await
    .unwrap();
    assert!(status.success(), "{status} {report}");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );

    // Of each sign-up, two tasks end well, and the one for the sales team fails.
    let (completed, failed) = (count(&report, "completed"), count(&report, "failed"));
    assert!(failed >= confirmed, "{confirmed} confirmed; {report}");
    assert_eq!(completed, 2 * failed, "{report}");
    assert_eq!(count(&report, "aborted"), 0, "{report}");
    assert!(
        !signup
            .output
            .try_iter()
            .any(|line| line.contains("not finished"))
    );
    drop((idle, idle_http2, silent));
}

/// P-SHUTDOWN-2
#[tokio::test]
async fn sigterm_under_load_drains_every_task_and_exits_with_the_report() {
    is_drained_after("TERM").await;
}

/// P-SHUTDOWN-2
#[tokio::test]
async fn ctrl_c_under_load_drains_every_task_and_exits_with_the_report() {
    is_drained_after("INT").await;
}

/// P-SHUTDOWN-2
#[tokio::test]
async fn a_second_signal_ends_a_process_that_waits_for_a_request() {
    let mut signup = tokio::task::spawn_blocking(Signup::start).await.unwrap();
    let mut client = Http1::connect(signup.address).await;
    client.fetch_with("POST", "/sign-up", FORM).await;
    // A request that is half sent holds the first signal up.
    let mut half = Http1::connect(signup.address).await;
    half.send("POST /sign-up HTTP/1.1\r\nhost: tests\r\ncontent-length: 10\r\n\r\n")
        .await;
    client.fetch_with("POST", "/sign-up", FORM).await;
    signup.signal("TERM");
    tests::eventually("closed", || {
        std::net::TcpStream::connect(signup.address).is_err()
    })
    .await;
    assert!(signup.process.try_wait().unwrap().is_none(), "it waits");
    signup.signal("TERM");
    let status = tokio::task::spawn_blocking(move || signup.exit());
    assert!(within("an exit", status).await.unwrap().success());
}
