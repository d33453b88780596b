//! The signals that ask the process to end.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

#[cfg(not(unix))]
use self::portable::Signals;
#[cfg(unix)]
use self::unix::Signals;
use crate::run::{Runner, Serving, ShutdownReport};

pub(super) type Signal = BoxFuture<'static, ()>;

/// Returns what ends a server, and what then ends its wait for tasks: the first and the second signal that ask the
/// process to end, of which the handlers are installed now; or what the application has chosen, and nothing.
pub(super) fn stop_signals(chosen: Option<Signal>) -> io::Result<(Signal, Signal)> {
    if let Some(chosen) = chosen {
        return Ok((chosen, std::future::pending().boxed()));
    }
    let mut signals = Signals::new()?;
    let (first_seen, first) = oneshot::channel();
    let (second_seen, second) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        let _ = first_seen.send(());
        signals.next().await;
        let _ = second_seen.send(());
    });
    // A sender is dropped only when the runtime is: then nothing is left to shut down.
    Ok((first.map(drop).boxed(), second.map(drop).boxed()))
}

/// Ends a server, or a worker. The second signal ends the wait for tasks, if it has not come already.
pub(super) async fn end_serving(
    runner: &Arc<Runner>,
    serving: Serving,
    deadline: Instant,
    mut second: Signal,
) -> ShutdownReport {
    let hurried = serving.hurry().clone();
    let mut ended = pin!(runner.end_serving(serving, deadline));
    tokio::select! {
        biased;
        report = &mut ended => report,
        () = &mut second, if !hurried.is_cancelled() => {
            hurried.cancel();
            ended.await
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// Ctrl-C (SIGINT) and SIGTERM.
    pub(super) struct Signals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Signals {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        pub(super) async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        }
    }
}

/// Compiled for tests on every system, so that it is checked on each.
#[cfg(any(not(unix), test))]
mod portable {
    use std::io;

    /// Ctrl-C, whose handler is installed by the first `next`.
    pub(super) struct Signals(());

    impl Signals {
        #[expect(clippy::unnecessary_wraps, reason = "as with the signals of Unix")]
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(()))
        }

        #[expect(
            clippy::needless_pass_by_ref_mut,
            reason = "as with the signals of Unix"
        )]
        pub(super) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                // Without a handler Ctrl-C ends the process.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{portable, unix};

    /// In one test, because a signal is for the whole process.
    #[tokio::test]
    async fn ctrl_c_is_seen_by_the_signals_of_unix_and_by_the_portable_ones() {
        let mut unix = unix::Signals::new().unwrap();
        let mut portable = portable::Signals::new().unwrap();
        let mut both = std::pin::pin!(async { tokio::join!(unix.next(), portable.next()) });
        // Installs the handlers.
        let early = tokio::time::timeout(Duration::from_millis(1), &mut both).await;
        assert!(early.is_err(), "no signal was sent");

        let process = std::process::id().to_string();
        let kill = Command::new("kill").args(["-INT", &process]).status();
        assert!(kill.unwrap().success());
        both.await;
    }
}
