//! What is stored under a name is run by one task.
//!
//! A program of its own: its tasks have mistakes.

use bg_runtime::testing::Memory;
use bg_runtime::{Background, background_task};

#[background_task(durable, name = "mails.send", was = ["mails.post", "mails.old"])]
async fn send() {}

#[background_task(durable, name = "mails.post")]
async fn post() {}

#[background_task(durable, name = "mails.write", was = "mails.old")]
async fn write() {}

/// Not durable: nothing is stored under its name.
#[background_task(name = "mails.older")]
pub async fn older() {}

#[background_task(durable, name = "mails.read", was = "mails.older")]
async fn read() {}

#[test]
fn an_old_name_that_another_task_has_or_had_is_a_problem() {
    let error = Background::builder()
        .durable(Memory::new())
        .build()
        .unwrap_err();
    let problems: Vec<String> = error.problems().collect();
    let [taken, shared] = problems.as_slice() else {
        panic!("{error}")
    };
    for (problem, name, other) in [
        (
            taken,
            "mails.post",
            "`mails.post` at tests/tests/durable_names.rs:",
        ),
        (
            shared,
            "mails.old",
            "`mails.write` at tests/tests/durable_names.rs:",
        ),
    ] {
        let begin = format!(
            "two background tasks would run what is stored as `{name}`: `mails.send` at tests/"
        );
        assert!(
            problem.starts_with(&begin) && problem.contains(other),
            "{problem}"
        );
    }
}
