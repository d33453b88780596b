//! "202 Accepted, and ask later": an import goes on when its request has long been answered, tells
//! how far it has come, and starts again if it fails.
//!
//! ```text
//! cargo run --example progress                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example progress -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example progress -- --once          # tries it all itself, then exits
//! ```

use std::{error::Error, process::ExitCode};

use bg_runtime::{Background, ShutdownReport, TaskFailure, routes};
use examples::{Request, Step, Stop, Wire};
use serde_json::json;
use tracing::error;

use self::{imports::Imports, supplier::Supplier};

mod imports;
mod supplier;

fn log_failure(failure: &TaskFailure) {
    error!(arguments = failure.arguments(), "{failure}");
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let supplier = Supplier::new();
    let background = Background::builder()
        .state(supplier.clone())
        .log_failures(false)
        .history(1_000)
        .on_error(log_failure)
        .build()?;
    let imports = Imports::new(background.clone());
    let app = routes![imports::start_import, imports::show_import].with_state(imports);
    let app = app.merge(routes![supplier::deliver, supplier::hang_up].with_state(supplier));
    let server = background.serve(listener, app);
    Ok(server.with_graceful_shutdown(stop).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let start = |articles| Request::post("/imports").json(&json!({ "articles": articles }));
    let deliver = |article| Request::post("/supplier/deliver").json(&json!(article));
    let hang_up = || Request::post("/supplier/hang-up");
    let ask = |import| Request::get(format!("/imports/{import}"));
    let script = vec![
        start(2)
            .answered_with(202, r#"{"id":1}"#)
            .beside(&["import 1: 0 of 2: attempt 1"]),
        deliver("lamp")
            .answered(200)
            .beside(&["import 1: 1 of 2: lamp imported"]),
        ask(1).answered_with(
            200,
            r#"{"state":"running","done":1,"total":2,"message":"lamp imported"}"#,
        ),
        hang_up().answered(200).beside(&[
            "failed: the supplier hung up (attempt 1, it will run again)",
            "import 1: 0 of 2: attempt 2",
        ]),
        ask(1).answered_with(200, r#""message":"attempt 2"}"#),
        deliver("lamp")
            .answered(200)
            .beside(&["import 1: 1 of 2: lamp imported"]),
        deliver("chair")
            .answered(200)
            .beside(&["import 1: 2 of 2: chair imported", "import 1: done"]),
        ask(1).answered_with(200, r#"{"state":"done"}"#),
        // One that fails for good.
        start(1)
            .answered_with(202, r#"{"id":2}"#)
            .beside(&["import 2: 0 of 1: attempt 1"]),
        hang_up().answered(200).beside(&[
            "failed: the supplier hung up (attempt 1, it will run again)",
            "import 2: 0 of 1: attempt 2",
        ]),
        hang_up()
            .answered(200)
            .in_any_order(&["failed: the supplier hung up", "import 2: failed"]),
        ask(2).answered_with(200, r#"{"state":"failed","reason":"the supplier hung up"}"#),
        ask(3).answered(404),
        Step::ctrl_c().then(&["1 completed, 1 failed, 0 skipped, 0 aborted"]),
    ];
    examples::run("progress", script, serve).await
}
