//! Tests of what is global to a process, each in a process of its own.

use std::process::Command;

const CHILD: &str = "BG_TESTS_OWN_PROCESS";

/// Runs a test in a process of its own, in which no other test runs. `name` is that of the test, as the
/// harness knows it.
///
/// # Panics
///
/// If the test fails there. Its output is part of the message.
pub fn in_own_process(name: &str, test: impl AsyncFnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        return runtime.expect("a runtime").block_on(test());
    }
    let program = std::env::current_exe().expect("the path of this program");
    run_again(Command::new(program), CHILD, name);
}

/// Runs one test of this program in another process, in which `child` is set. `program` starts it, and gets its
/// arguments.
///
/// # Panics
///
/// If the test fails there. Its output is part of the message.
pub fn run_again(mut program: Command, child: &str, name: &str) {
    let output = program
        .args(["--exact", name, "--nocapture"])
        .env(child, "")
        // What it says is said again by this one, and shall not be lost in it.
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let logged = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{logged}");
    assert!(
        said.contains("1 passed"),
        "no test is called {name}: {said}"
    );
}
