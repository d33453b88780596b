//! Checks what the compiler prints for each mistake, and that right code compiles.
//!
//! `TRYBUILD=overwrite cargo test -p ui-tests`, without and with `--features durable`, writes the messages anew. Read
//! them before they are committed: each points at what the user wrote, and says what to write instead.

/// P-BUILD-4, P-ROUTE-2
#[test]
fn every_mistake_has_its_message_and_right_code_compiles() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/fail/**/*.rs");
    cases.pass("tests/pass/**/*.rs");
}

/// With the feature or without.
#[test]
fn each_mistake_in_a_durable_task_has_its_message() {
    let cases = trybuild::TestCases::new();
    if cfg!(feature = "durable") {
        cases.compile_fail("tests/with_durable/fail/*.rs");
        cases.pass("tests/with_durable/pass/*.rs");
    } else {
        cases.compile_fail("tests/without_durable/*.rs");
    }
}
