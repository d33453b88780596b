//! The sources of this workspace, for tests that read them.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file, by its path from [`root`].
///
/// # Panics
///
/// If there is no such file.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Rust files of a folder and those below it. All paths start at [`root`].
///
/// # Panics
///
/// If there is no such folder.
pub fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("a folder") {
        let entry = entry.expect("a folder's entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        let path = format!("{folder}/{name}");
        if entry.path().is_dir() {
            found.extend(rust_files(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found
}

/// Returns whether the line makes the function below it a test.
pub fn is_test_attribute(line: &str) -> bool {
    line.starts_with("#[test]") || line.starts_with("#[tokio::test")
}

/// Returns whether the function that begins on this line is a test of each database, which a macro makes of it.
pub fn is_test_of_each_database(line: &str) -> bool {
    line.ends_with("(lab: &Lab) {")
}

/// The name of the function that begins on this line. `None` where a macro has yet to give it one.
pub fn function_name(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("fn ")?;
    let is_part = |c: &char| *c == '_' || c.is_alphanumeric();
    let name: String = rest.chars().take_while(is_part).collect();
    (!name.is_empty()).then_some(name)
}
