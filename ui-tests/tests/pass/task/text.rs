//! Text is taken in any form, and any other argument as it is.

#![deny(warnings)]

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bg_runtime::background_task;

struct Plain(u8);

#[background_task]
#[allow(clippy::too_many_arguments)]
fn every_kind(
    string: String,
    qualified: std::string::String,
    boxed: Box<str>,
    shared: Arc<str>,
    path: PathBuf,
    lent: &str,
    lent_path: &Path,
    lent_string: &String,
    lent_slice: &[u8],
    lent_plain: &Plain,
    lent_array: &[u8; 2],
    forever: &'static str,
    optional: Option<String>,
    function: fn(&str) -> usize,
    #[default = "none"] note: &str,
    #[default = vec![1]] numbers: &[u8],
) {
    let _ = (
        string,
        qualified,
        boxed,
        shared,
        path,
        lent,
        lent_path,
        lent_string,
        lent_slice,
    );
    let _ = (
        lent_plain.0,
        lent_array,
        forever,
        optional,
        function,
        note,
        numbers,
    );
}

fn main() {
    let owned = String::from("d");
    let task = EveryKind::new(
        "a",
        owned.clone(),
        &owned,
        Cow::Borrowed("e"),
        Path::new("/f"),
        &owned.as_str(),
        "/g",
        'h',
        vec![1, 2],
        Plain(3),
        [4, 5],
        "i",
        Some("j".to_owned()),
        str::len,
    )
    .note(owned)
    .numbers(vec![6]);
    assert_eq!(
        (task.string.as_str(), task.qualified.as_str(), &*task.boxed),
        ("a", "d", "d")
    );
    assert_eq!(
        (&*task.shared, task.lent.as_str(), task.lent_string.as_str()),
        ("e", "d", "h")
    );
    assert_eq!(
        (task.path, task.lent_path),
        (PathBuf::from("/f"), PathBuf::from("/g"))
    );
    assert_eq!(
        (task.note.as_str(), task.numbers, task.lent_slice),
        ("d", vec![6], vec![1, 2])
    );
    assert_eq!(
        (task.lent_plain.0, task.lent_array, task.forever),
        (3, [4, 5], "i")
    );
    assert_eq!(
        (task.optional.as_deref(), (task.function)("four")),
        (Some("j"), 4)
    );
}
