//! A sign-up that answers at once, and does the slow part afterwards.
//!
//! ```text
//! cargo run --example signup                    # signs up once, then serves on 127.0.0.1:3000
//! cargo run --example signup -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example signup -- --once          # signs up once, then exits
//! ```

use std::{env, error::Error, io, process::ExitCode, thread, time::Duration};

use axum::{Json, http::StatusCode, middleware};
use bg_runtime::{Background, BackgroundTasks, TaskFailure, background_task, post, routes};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, time::sleep};
use tracing::{error, info};

#[path = "signup/timeline.rs"]
mod timeline;
use timeline::Watched;

/// Stands for the client of a mail service.
#[derive(Debug, Clone)]
struct Mailer {
    from: &'static str,
}

impl Mailer {
    async fn send(&self, to: &str, text: &str) -> io::Result<()> {
        sleep(Duration::from_millis(200)).await;
        if to.ends_with(".invalid") {
            return Err(io::Error::other(format!("no mail server takes {to}")));
        }
        info!("mail from {} to {to}: {} characters", self.from, text.len());
        Ok(())
    }
}

/// Draws the picture of a new account. A plain `fn` runs on tokio's blocking pool.
#[background_task]
fn draw_avatar(name: &str) {
    info!("draw_avatar started");
    thread::sleep(Duration::from_millis(100));
    info!("draw_avatar finished: {name}.png");
}

/// Tells the sales team, whose address does not exist: this is what a failure looks like.
#[background_task]
async fn notify_sales(about: &str, #[state] mailer: Mailer) -> io::Result<()> {
    info!("notify_sales started");
    mailer.send("sales@example.invalid", about).await
}

/// Sends the code that confirms an address. No log and no report shows the code.
#[background_task(timeout = "5s")]
async fn send_confirmation(
    to: String,
    #[secret] code: u32,
    #[state] mailer: Mailer,
) -> io::Result<()> {
    info!("send_confirmation started");
    let text = format!("Your code is {code}.");
    mailer.send(&to, &text).await?;
    info!("send_confirmation finished");
    Ok(())
}

#[derive(Debug, Deserialize)]
struct SignUp {
    name: String,
    email: String,
}

#[derive(Debug, Serialize)]
struct Account {
    email: String,
    confirmed: bool,
}

/// Stands for the database.
async fn save(form: SignUp) -> Account {
    sleep(Duration::from_millis(5)).await;
    Account {
        email: form.email,
        confirmed: false,
    }
}

// The tasks of the route run first, in order; then those that the handler adds.
// A failure ends its own list only: the confirmation is sent whether or not sales could be told.
#[post("/sign-up", background = [DrawAvatar::new(&form.name), NotifySales::new(&form.email)])]
async fn sign_up(tasks: BackgroundTasks, Json(form): Json<SignUp>) -> (StatusCode, Json<Account>) {
    let code = 123_456;
    tasks.add_task(SendConfirmation::new(&form.email, code));
    let account = save(form).await;
    (StatusCode::CREATED, Json(account))
}

fn log_failure(failure: &TaskFailure) {
    error!(arguments = failure.arguments(), "{failure}");
}

async fn run(address: &str, once: bool) -> Result<(), Box<dyn Error>> {
    let background = Background::builder()
        .state(Mailer {
            from: "hello@example.com",
        })
        .on_error(log_failure)
        .build()?;
    let app = routes![sign_up].layer(middleware::from_fn(timeline::restart));

    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;

    // An application awaits `background.serve(listener, app)` and is done. This one watches its
    // listener, and has a request to send.
    let server = tokio::spawn(background.serve(Watched(listener), app).into_future());
    timeline::show(address, &background).await?;
    if once {
        println!("{}", background.shutdown().await);
        return Ok(());
    }

    println!("\nServing; ctrl-c ends it. Sign up yourself:\n");
    println!("{}\n", timeline::curl(address));
    let report = server.await??;
    println!("{report}");
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (address, once) = match arguments.as_slice() {
        [] => ("127.0.0.1:3000", false),
        [flag] if flag == "--once" => ("127.0.0.1:0", true),
        [address] if !address.starts_with('-') => (address.as_str(), false),
        _ => {
            eprintln!("usage: signup [--once | ADDRESS]");
            return ExitCode::from(2);
        }
    };

    timeline::init();
    match run(address, once).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signup: {error}");
            ExitCode::FAILURE
        }
    }
}
