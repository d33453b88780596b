//! A sign-up that answers at once, and does the slow part afterwards.
//!
//! ```text
//! cargo run --example signup                    # signs up once, then serves on 127.0.0.1:3000
//! cargo run --example signup -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example signup -- --once          # signs up once, then exits
//! ```

use std::{error::Error, io, process::ExitCode, thread, time::Duration};

use axum::{Json, http::StatusCode};
use bg_runtime::{Background, BackgroundTasks, TaskFailure, background_task, post, routes};
use examples::{Arguments, Request, Wire};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tracing::{error, info};

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

/// Signs up, and waits until the tasks of that request are done.
async fn try_it(form: &Request, server: &str, background: &Background) -> io::Result<()> {
    let status = form.send(server).await?;
    let received = Instant::now();
    info!("response received: {status}");
    if status != 201 {
        return Err(io::Error::other("no account"));
    }
    let unfinished = || {
        let stats = background.stats();
        stats.pending + stats.running
    };
    while unfinished() > 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let lead = received.elapsed().as_millis();
    info!("tasks done, {lead} ms after the client had its response");
    Ok(())
}

async fn run(Arguments { once, address }: Arguments) -> Result<(), Box<dyn Error>> {
    let background = Background::builder()
        .state(Mailer {
            from: "hello@example.com",
        })
        .log_failures(false)
        .on_error(log_failure)
        .build()?;
    let listener = examples::listen(&address).await?;
    let address = listener.local_addr()?.to_string();

    // An application awaits `background.serve(listener, app)` and is done. This one has a request
    // to send.
    let server = background.serve(Wire(listener), routes![sign_up]);
    let server = tokio::spawn(server.into_future());
    let form = json!({ "name": "ada", "email": "ada@example.com" });
    let form = Request::post("/sign-up").json(&form);
    try_it(&form, &address, &background).await?;
    if once {
        let report = background.shutdown().await;
        println!("\n{report}");
        let stats = report.stats();
        return match (stats.completed, stats.failed) {
            (2, 1) => Ok(()),
            _ => Err("two tasks should have ended well, and one failed".into()),
        };
    }

    println!("\nServing; ctrl-c ends it. Sign up yourself:\n");
    println!("{}", form.curl(&address));
    let report = server.await??;
    println!("\n{report}");
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::of("signup") {
        Ok(arguments) => arguments,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    examples::init_timeline();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signup: {error}");
            ExitCode::FAILURE
        }
    }
}
