//! Limits, and keys of every kind to count tasks by.

#![deny(warnings)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bg_runtime::{Background, OnFull, Rate, Task, TaskLimits, background_task};

/// Is `Display`, and nothing else.
struct UserId(u128);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

const LIMIT: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

#[background_task(max_concurrent = 3)]
async fn concurrent() {}

#[background_task(max_concurrent = LIMIT * 2, key = user, max_per_key = LIMIT - 3)]
async fn by_number(text: String, user: u64) {
    let _ = (text, user);
}

#[background_task(key = user, max_pending_per_key = 100usize)]
fn by_lent_text(user: &str, #[secret] code: [u8; 4]) {
    let _ = (user, code);
}

#[background_task(key = user, max_unfinished_per_key = LIMIT, on_full = replace, rate = "10/30s", expires = "5m")]
async fn newest(user: u64) {
    let _ = user;
}

#[background_task(key = user, max_pending_per_key = 1, on_full = ignore, rate = Rate::new(LIMIT, SECOND), expires = SECOND)]
fn by_constants(user: u64) {
    let _ = user;
}

#[background_task(key = user, rate = "1/h", max_pending_per_key = 2, on_full = reject)]
async fn by_rate(user: u64) {
    let _ = user;
}

/// A rate needs no key.
#[background_task(rate = "1/ms")]
async fn rated() {}

#[background_task(retries = 2, backoff = "1s..1m", key = user, max_per_key = 1, max_pending_per_key = 1_000)]
async fn by_text_and_retried(user: String) {
    let _ = user;
}

#[background_task(key = user, max_per_key = 1)]
async fn by_shared_text(user: Arc<str>) {
    let _ = user;
}

#[background_task(key = user, max_per_key = 1)]
async fn by_own_type(user: &UserId) {
    let _ = user;
}

#[background_task(key = user, max_per_key = 1)]
async fn by_default(#[default = 7] user: u8) {
    let _ = user;
}

#[background_task(key = r#type, max_per_key = 1)]
async fn by_raw_name(r#type: char) {
    let _ = r#type;
}

/// Has parameters named like what the generated code calls for a key.
#[background_task(key = key, max_per_key = 1)]
async fn key(key: u8, copy: u8, again: u8) {
    let _ = (key, copy, again);
}

fn main() {
    let key = |task: Option<String>| task.expect("a key");
    assert_eq!(key(ByNumber::new("x", 7).key()), "7");
    assert_eq!(key(ByLentText::new("ada", [0; 4]).key()), "ada");
    assert_eq!(key(BySharedText::new("ada").key()), "ada");
    assert_eq!(
        key(ByOwnType::new(UserId(255)).key()),
        "000000000000000000000000000000ff"
    );
    assert_eq!(key(ByDefault::new().user(9).key()), "9");
    assert_eq!(key(ByRawName::new('x').key()), "x");
    assert_eq!(key(Key::new(1, 2, 3).key()), "1");
    assert_eq!(Concurrent.key(), None);

    let task = ByTextAndRetried::new("ada");
    assert_eq!(key(task.key()), key(task.try_clone().expect("a copy").key()));

    let tasks = Background::builder().build().expect("no states").tasks();
    let limits = |name: &str| {
        let task = tasks.iter().find(|task| task.name().ends_with(name));
        let TaskLimits {
            concurrent,
            per_key,
            pending_per_key,
            ..
        } = task.expect("a task of this name").limits();
        [concurrent, per_key, pending_per_key]
    };
    assert_eq!(limits("::concurrent"), [Some(3), None, None]);
    assert_eq!(limits("::by_number"), [Some(8), Some(1), None]);
    assert_eq!(limits("::by_lent_text"), [None, None, Some(100)]);
    assert_eq!(limits("::by_text_and_retried"), [None, Some(1), Some(1000)]);
    assert_eq!(limits("::by_raw_name"), [None, Some(1), None]);

    let task = |name: &str| {
        let task = tasks.iter().find(|task| task.name().ends_with(name));
        *task.expect("a task of this name")
    };
    let newest = task("::newest").limits();
    assert_eq!((newest.unfinished_per_key, newest.on_full), (Some(4), OnFull::Replace));
    assert_eq!(newest.rate, Some(Rate::new(10, 30 * SECOND)));
    assert_eq!(task("::newest").expires(), Some(300 * SECOND));
    let by_constants = task("::by_constants").limits();
    assert_eq!((by_constants.pending_per_key, by_constants.on_full), (Some(1), OnFull::Ignore));
    assert_eq!(by_constants.rate, Some(Rate::new(4, SECOND)));
    assert_eq!(task("::by_constants").expires(), Some(SECOND));
    assert_eq!(task("::by_rate").limits().on_full, OnFull::Reject);
    let rate = task("::rated").limits().rate;
    assert_eq!(rate, Some(Rate::new(1, Duration::from_millis(1))));
}
