//! A task with retries gives copies of itself, with arguments of every kind.

#![deny(warnings)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bg_runtime::{Backoff, Background, Task, TaskContext, background_task};

/// Can be neither cloned nor compared.
struct Connection;

/// Can be compared with another type, too.
#[derive(Debug, Clone, PartialEq)]
struct Number(u8);

impl PartialEq<u8> for Number {
    fn eq(&self, other: &u8) -> bool {
        self.0 == *other
    }
}

#[background_task(retries = 3)]
#[allow(clippy::too_many_arguments, clippy::too_many_lines)]
async fn every_kind(
    text: String,
    lent: &str,
    lent_path: &Path,
    lent_slice: &[Number],
    lent_array: &[u8; 2],
    lent_plain: &Number,
    shared: Arc<Connection>,
    borrowed: Cow<'static, str>,
    forever: &'static Connection,
    map: HashMap<String, Vec<Option<Number>>>,
    projection: <Vec<u8> as IntoIterator>::Item,
    function: fn(&str) -> &str,
    ranked: for<'a, 'b> fn(&'a u8, &'b u8) -> &'a u8,
    tuple: (u8, Box<[u8]>),
    nothing: (),
    #[secret] code: [u8; 40],
    #[default = 1] priority: u32,
    #[state] state: Arc<Connection>,
    #[context] cx: TaskContext,
) {
    let _ = (text, lent, lent_path, lent_slice, lent_array, lent_plain);
    let _ = (shared, borrowed, forever, map, projection, function, ranked);
    let _ = (tuple, nothing, code, priority, state, cx);
}

const RETRIES: u32 = 2;
const WAIT: Duration = Duration::from_secs(2);

#[background_task(retries = RETRIES, backoff = Backoff::fixed(WAIT))]
fn constants(text: String) {
    let _ = text;
}

#[background_task(retries = RETRIES * 2 + 1, backoff = "1s")]
async fn fixed() {}

#[background_task(backoff = "500ms .. 1m30s", retries = u32::MAX)]
async fn exponential() {}

#[background_task(retries = 0, backoff = "0s")]
async fn at_once() {}

/// Gives copies without the setting, for `TaskExt::retries`.
#[background_task]
async fn unset(text: &str, number: Number) {
    let _ = (text, number);
}

#[background_task]
async fn cloned_only(function: Arc<dyn Fn(&str) + Send + Sync>) {
    let _ = function;
}

#[background_task]
async fn never(connection: &Connection) {
    let _ = connection;
}

/// Holds the next of its kind, so its author says what a copy is.
#[background_task(retries = 1)]
async fn chain(next: Option<Box<Chain>>) {
    let _ = next;
}

impl Clone for Chain {
    fn clone(&self) -> Self {
        Self::new(self.next.clone())
    }
}

fn same(text: &str) -> &str {
    text
}

fn first<'a>(one: &'a u8, _: &u8) -> &'a u8 {
    one
}

fn main() {
    static FOREVER: Connection = Connection;
    let task = EveryKind::new(
        "a",
        "b",
        "/c",
        vec![Number(1)],
        [1, 2],
        Number(2),
        Arc::new(Connection),
        "d".into(),
        &FOREVER,
        HashMap::from([("e".to_owned(), vec![None, Some(Number(3))])]),
        4,
        same,
        first,
        (5, [6].into()),
        (),
        [7; 40],
    )
    .priority(8);
    let again = task.try_clone().expect("a copy");
    assert_eq!(
        (again.text, again.lent, again.lent_slice),
        (task.text, task.lent, task.lent_slice)
    );
    assert!(Arc::ptr_eq(&again.shared, &task.shared));
    assert_eq!((again.map, again.priority), (task.map, 8));

    assert!(Constants::new("x") == Constants::new("x").clone());
    assert!(Constants::new("x") != Constants::new("y"));
    assert!(Constants::new("x").try_clone() == Some(Constants::new("x")));
    assert!(Fixed.try_clone() == Some(Fixed) && Fixed == Fixed.clone());
    assert!(Unset::new("x", Number(1)).try_clone() == Some(Unset::new("x", Number(1))));
    assert!(Unset::new("x", Number(1)) != Unset::new("x", Number(2)));
    assert!(ClonedOnly::new(Arc::new(|_| ())).try_clone().is_some());
    assert!(Never::new(Connection).try_clone().is_none());
    let chain = Chain::new(Some(Box::new(Chain::new(None))));
    assert!(chain.try_clone().is_some_and(|chain| chain.next.is_some()));

    let background = Background::builder().state(Arc::new(Connection));
    let tasks = background.build().expect("all states").tasks();
    let retries = |name: &str| {
        let task = tasks.iter().find(|task| task.name().ends_with(name));
        task.map(|task| (task.retries(), task.backoff()))
    };
    let exponential = Backoff::exponential(Duration::from_millis(500), Duration::from_secs(90));
    for (name, expected) in [
        ("constants", (2, Backoff::fixed(Duration::from_secs(2)))),
        ("fixed", (5, Backoff::fixed(Duration::from_secs(1)))),
        ("exponential", (u32::MAX, exponential)),
        ("at_once", (0, Backoff::fixed(Duration::ZERO))),
        ("unset", (0, Backoff::default())),
    ] {
        assert_eq!(retries(name), Some(expected), "{name}");
    }
}
