//! Stores, rows and settings that cannot be worked with: each is told of in time, by name, with what to do, and nothing
//! hangs or is lost.

#[cfg(all(feature = "postgres-tls", target_os = "linux"))]
mod encrypted;
#[cfg(feature = "sqlite")]
mod files;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod migrations;
#[cfg(all(target_os = "linux", any(feature = "sqlite", feature = "postgres")))]
mod own_mounts;
#[cfg(feature = "postgres")]
mod poolers;
mod rows;
#[cfg(feature = "postgres")]
mod servers;

use bg_runtime::Background;
use bg_runtime::durable::{SecretKey, Store};
use bg_runtime::testing::Memory;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
use tests::within;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
use crate::tasks::Note;
use crate::tasks::{KEY, Lab};

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
fn background(store: impl Into<Store>) -> Background {
    let store = store.into().secret_keys([SecretKey::new(KEY)]);
    let builder = Background::builder().state(Lab::new()).durable(store);
    builder.build().expect("nothing to refuse")
}

/// Why nothing can be started on this store.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
async fn start_error(store: impl Into<Store>) -> String {
    let started = within("the start", background(store).start()).await;
    started.expect_err("it cannot start").to_string()
}

/// Has this store do all of its work once.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
async fn works(store: impl Into<Store>) {
    let background = background(store);
    within("the start", background.start()).await.unwrap();
    let id = background.enqueue(Note::new("it works")).await.unwrap();
    let task = background.stored().get(id);
    within("the end", task.outcome()).await.unwrap();
    within("the shutdown", background.shutdown()).await;
}

/// What `build` says of a store.
fn build_error(store: impl Into<Store>) -> String {
    let store = store.into().secret_keys([SecretKey::new(KEY)]);
    let builder = Background::builder().state(Lab::new()).durable(store);
    builder.build().expect_err("it is refused").to_string()
}

/// P-DURABLE-50
#[test]
fn build_refuses_a_store_that_cannot_be_one() {
    let error = build_error(Store::from(Memory::new()).queues([("slow", 0)]));
    assert!(
        error.contains("no task of the queue `slow` would ever run"),
        "{error}"
    );
    #[cfg(feature = "sqlite")]
    {
        let error = build_error(bg_runtime::durable::Sqlite::file(""));
        assert_eq!(error, "`Sqlite::file(\"\")` names no file");
        let error = build_error(bg_runtime::durable::Sqlite::file(":memory:"));
        assert!(
            error.contains("the store for tests is `testing::Memory`"),
            "{error}"
        );
    }
    #[cfg(feature = "postgres")]
    {
        use bg_runtime::durable::Postgres;
        for (url, why) in [
            ("", "relative URL without a base"),
            (
                "mysql://ada:s3cret@localhost/x",
                "another scheme than `postgres://`",
            ),
            (
                "postgres://ada:s3cret@localhost/x?sslmode=alwas",
                "unknown value \"alwas\"",
            ),
            ("postgres://ada:s3cret@[/x", "invalid IPv6 address"),
        ] {
            let error = build_error(Postgres::url(url));
            assert!(
                error.starts_with("what was given to `Postgres::url(..)` is no URL"),
                "{error}"
            );
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let long = "x".repeat(60);
        for (schema, why) in [
            ("", "is empty"),
            (&long, "60 exceeds maximum 46"),
            ("a\0b", "cannot contain NUL"),
            ("o'brien", "has the character `'`"),
        ] {
            let error = build_error(Postgres::url("postgres://localhost/x").schema(schema));
            assert!(error.starts_with("`schema(..)` of the store"), "{error}");
            assert!(error.contains(why), "{error}");
        }
    }
}

/// P-DURABLE-50
#[test]
fn build_refuses_a_durable_task_without_a_store_or_with_two() {
    let without = Background::builder().state(Lab::new()).build().unwrap_err();
    let without: Vec<_> = without.problems().collect();
    let note = without
        .iter()
        .find(|problem| problem.starts_with("tests.note ("));
    let note = note.unwrap_or_else(|| panic!("{without:?}"));
    assert!(note.contains("tests/tests/durable/tasks.rs:"), "{note}");
    assert!(note.contains("there is no store for it"), "{note}");
    assert!(note.contains("Background::builder().durable("), "{note}");
    let keyed = || Store::from(Memory::new()).secret_keys([SecretKey::new(KEY)]);
    let builder = Background::builder().state(Lab::new()).durable(keyed());
    let twice = builder.durable(keyed()).build().unwrap_err().to_string();
    assert!(twice.contains("two stores were given"), "{twice}");
    assert!(twice.contains("call `durable(..)` once"), "{twice}");
}
