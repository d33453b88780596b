//! What the page of `FunApi` shows: dependencies, keyword arguments, lambdas, errors that are logged
//! while the server goes on, and the complete example at its end.
//!
//! ```text
//! cargo run --example funapi                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example funapi -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example funapi -- --once          # tries it all itself, then exits
//! ```

use std::{error::Error, process::ExitCode};

use axum::{Json, http::StatusCode};
use bg_runtime::{
    Background, BackgroundTasks, ShutdownReport, background_task, get, named, named_blocking, post,
    routes,
};
use examples::{Request, Step, Stop, Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::info;

// Dependencies. FunApi's handler requests them and its lambda captures them. Here the task names
// them, and the code that queues it need not know.

#[derive(Clone)]
struct Mailer {
    from: &'static str,
}

#[derive(Clone)]
struct Analytics {
    project: &'static str,
}

#[background_task]
async fn greet(email: &str, #[state] mailer: Mailer) {
    info!("mail from {} to {email}: welcome", mailer.from);
}

#[background_task]
async fn track(event: &str, user_id: u64, #[state] analytics: Analytics) {
    info!("{}: {event} by user {user_id}", analytics.project);
}

#[post("/dependencies", background = [Greet::new("ada@example.com"), Track::new("signup", 7)])]
async fn dependencies() {}

// Keyword arguments: a task is a struct, and its arguments are the fields.

#[background_task]
async fn send_email(to: String, subject: String, #[default = 1] priority: u8) {
    info!("email to {to}: {subject}, priority {priority}");
}

#[post("/keywords")]
async fn keywords(tasks: BackgroundTasks) {
    tasks.add_task(SendEmail {
        to: "user@example.com".into(),
        subject: "Welcome!".into(),
        priority: 3,
    });
    tasks.add_task(SendEmail::new("user@example.com", "Your first day").priority(2));
}

// Lambdas: work that needs no declaration, but a name for logs and reports.

#[post("/lambdas")]
async fn lambdas(tasks: BackgroundTasks, Json(email): Json<String>) {
    let domain = email.rsplit('@').next().unwrap_or_default().to_owned();
    tasks.add_task(named("mailer.send", async move {
        info!("email to {email}");
    }));
    tasks.add_task(named_blocking("domains.count", move || {
        info!("one more at {domain}");
    }));
}

// Errors. There is no error hook in this program, so they are `tracing` events. The client has its
// answer, and the next request finds the server in good health.

#[get("/errors")]
async fn errors(tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(named("errors.raise", async { Err("Task failed!") }));
    "fine"
}

// The complete example.

#[derive(Deserialize)]
struct NewUser {
    name: String,
    email: String,
}

#[derive(Debug, Clone, Serialize)]
struct User {
    id: u64,
    name: String,
    email: String,
}

#[background_task]
async fn send_welcome_email(email: &str) {
    info!("sending welcome email to {email}");
}

#[background_task]
async fn log_signup(user_id: u64) {
    info!("logging signup for user {user_id}");
}

#[background_task]
async fn notify_admin(user: User) {
    info!("notifying admin about new user: {}", user.name);
}

#[post("/signup")]
async fn signup(
    tasks: BackgroundTasks,
    Json(NewUser { name, email }): Json<NewUser>,
) -> (StatusCode, Json<Value>) {
    let id = 7; // from the database
    let user = User { id, name, email };

    tasks.add_task(SendWelcomeEmail::new(&user.email));
    tasks.add_task(LogSignup::new(user.id));
    tasks.add_task(NotifyAdmin::new(user.clone()));

    let answer = json!({ "user": user, "message": "Check your email!" });
    (StatusCode::CREATED, Json(answer))
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder()
        .state(Mailer {
            from: "hello@example.com",
        })
        .state(Analytics { project: "shop" })
        .build()?;
    let app = routes![dependencies, keywords, lambdas, errors, signup];
    let server = background.serve(listener, app);
    Ok(server.with_graceful_shutdown(stop).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let ada = json!({ "name": "Ada", "email": "ada@example.com" });
    let script = vec![
        Request::post("/dependencies").answered(200).then(&[
            "mail from hello@example.com to ada@example.com: welcome",
            "shop: signup by user 7",
        ]),
        Request::post("/keywords").answered(200).then(&[
            "email to user@example.com: Welcome!, priority 3",
            "email to user@example.com: Your first day, priority 2",
        ]),
        Request::post("/lambdas")
            .json(&json!("ada@example.com"))
            .answered(200)
            .then(&["email to ada@example.com", "one more at example.com"]),
        Request::get("/errors")
            .answered(200)
            .then(&["background task failed"]),
        Request::post("/signup").json(&ada).answered(201).then(&[
            "sending welcome email to ada@example.com",
            "logging signup for user 7",
            "notifying admin about new user: Ada",
        ]),
        Step::ctrl_c().then(&["9 completed, 1 failed, 0 skipped, 0 aborted"]),
    ];
    examples::run("funapi", script, serve).await
}
