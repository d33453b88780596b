//! What the examples share, so that each of them shows the library and little else: a timeline on the
//! screen, a listener that puts requests and responses on it, and the script that `--once` plays.
//!
//! Nothing in here is part of the library, or needed to use it.

mod arguments;
mod connection;
mod messages;
mod own_server;
mod process;
mod request;
mod script;
mod timeline;
mod wire;

pub use self::arguments::Arguments;
pub use self::own_server::OwnServer;
pub use self::process::{Process, until_stdin_ends};
pub use self::request::{Request, post_json};
pub use self::script::Step;
pub use self::timeline::{init as init_timeline, init_untimed as init_untimed_lines};
pub use self::wire::Wire;

use std::error::Error;
use std::pin::Pin;
use std::process::ExitCode;

use bg_runtime::ShutdownReport;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Completes when an example is to stop: at ctrl-c or SIGTERM, or when its script has been played.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a server ended.
type Outcome = Result<ShutdownReport, Box<dyn Error>>;

/// Does what the `main` of an example does: with `--once` it plays the script against `serve`, and
/// fails if anything else happens than the script says; otherwise it serves, and prints what to
/// try.
pub async fn run(
    name: &str,
    script: Vec<Step>,
    serve: impl AsyncFnOnce(Wire, Stop) -> Outcome,
) -> ExitCode {
    let arguments = match Arguments::of(name) {
        Ok(arguments) => arguments,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match run_with(&arguments, script, serve).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run_with(
    arguments: &Arguments,
    script: Vec<Step>,
    serve: impl AsyncFnOnce(Wire, Stop) -> Outcome,
) -> Result<(), Box<dyn Error>> {
    let listener = listen(&arguments.address).await?;
    if arguments.once {
        return play_against(serve, listener, script).await;
    }
    init_timeline();
    let address = listener.local_addr()?.to_string();
    println!("Serving on http://{address}. Try:\n");
    for step in &script {
        println!("{}", step.command(&address));
    }
    let report = serve(Wire(listener), Box::pin(asked_to_stop())).await?;
    println!("\n{report}");
    Ok(())
}

async fn play_against(
    serve: impl AsyncFnOnce(Wire, Stop) -> Outcome,
    listener: TcpListener,
    script: Vec<Step>,
) -> Result<(), Box<dyn Error>> {
    let address = listener.local_addr()?.to_string();
    let (record, mut recorded) = timeline::init_recorded();
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let player = tokio::spawn(async move {
        // A script that goes wrong stops the server, too.
        let _guard = stop.clone().drop_guard();
        script::play(script, &address, &mut recorded, &stop).await?;
        Ok::<_, String>(recorded)
    });
    let report = serve(Wire(listener), Box::pin(stopped)).await?;
    println!("\n{report}");
    let _ = record.send(report.to_string());
    Ok(script::end(player.await??)?)
}

/// A listener on `address`.
///
/// # Errors
///
/// If there is none, in words that name the address.
pub async fn listen(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Completes at ctrl-c and at SIGTERM.
pub async fn asked_to_stop() {
    tokio::select! {
        () = ctrl_c() => info!("{}", script::CTRL_C),
        () = sigterm() => info!("SIGTERM"),
    }
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Ctrl-c then ends the process without this program's help.
        std::future::pending::<()>().await;
    }
}

async fn sigterm() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut signals) = signal(SignalKind::terminate()) {
            signals.recv().await;
            return;
        }
    }
    std::future::pending::<()>().await;
}
