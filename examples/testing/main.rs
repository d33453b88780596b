//! How an application tests what its handlers queue, and what becomes of it, with a `Recorder`.
//!
//! ```text
//! cargo run --example testing   # makes all checks, and says what each is about; --once is the same
//! cargo test --example testing  # the same as tests
//! ```

use std::{env, process::ExitCode};

mod checks;
mod shop;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if env::args().skip(1).any(|argument| argument != "--once") {
        eprintln!("usage: testing [--once]");
        return ExitCode::from(2);
    }
    // One that fails panics, and ends the program.
    checks::a_receipt_names_the_order().await;
    println!("a task's function is a function: a test calls it");
    checks::an_order_queues_its_receipt().await;
    println!("a handler queues what it should: a recorder has it, and nothing has run");
    checks::sales_are_told_of_a_large_order().await;
    println!("the tasks of a request can be looked at one by one, in their order");
    checks::an_empty_order_queues_nothing().await;
    println!("a failed request queues nothing");
    checks::a_new_stock_is_read_again().await;
    println!("tasks that are spawned are recorded, too");
    checks::a_busy_mail_service_gets_the_mails_later().await;
    println!("what is queued can be run, without waiting for a delay of an hour or for a backoff");
    checks::a_receipt_that_cannot_be_sent_is_given_up().await;
    println!("the failures are there to look at, and end their own list only");
    checks::a_receipt_is_sent_before_the_program_ends().await;
    println!("without a recorder, a shutdown waits until the tasks have run");
    ExitCode::SUCCESS
}

/// In an application, the body of each check stands in its test.
#[cfg(test)]
mod tests {
    use super::checks;

    #[tokio::test]
    async fn a_receipt_names_the_order() {
        checks::a_receipt_names_the_order().await;
    }

    #[tokio::test]
    async fn an_order_queues_its_receipt() {
        checks::an_order_queues_its_receipt().await;
    }

    #[tokio::test]
    async fn sales_are_told_of_a_large_order() {
        checks::sales_are_told_of_a_large_order().await;
    }

    #[tokio::test]
    async fn an_empty_order_queues_nothing() {
        checks::an_empty_order_queues_nothing().await;
    }

    #[tokio::test]
    async fn a_new_stock_is_read_again() {
        checks::a_new_stock_is_read_again().await;
    }

    #[tokio::test]
    async fn a_busy_mail_service_gets_the_mails_later() {
        checks::a_busy_mail_service_gets_the_mails_later().await;
    }

    #[tokio::test]
    async fn a_receipt_that_cannot_be_sent_is_given_up() {
        checks::a_receipt_that_cannot_be_sent_is_given_up().await;
    }

    #[tokio::test]
    async fn a_receipt_is_sent_before_the_program_ends() {
        checks::a_receipt_is_sent_before_the_program_ends().await;
    }
}
