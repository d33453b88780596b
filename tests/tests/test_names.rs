//! The names of this workspace's tests: short enough for one line, and each of one test.

use std::collections::BTreeMap;

use tests::sources::{function_name, is_test_attribute, read, rust_files};

/// In characters.
const LONGEST: usize = 70;

/// The folders of the workspace's crates.
fn crates() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find(|line| line.starts_with("members = "));
    let members = members.expect("the workspace's members");
    members
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The names of the tests in a folder, each with the files that have a test of that name.
fn names(folder: &str) -> BTreeMap<String, Vec<String>> {
    let mut names = BTreeMap::<_, Vec<_>>::new();
    for file in rust_files(folder) {
        let mut is_test = false;
        for line in read(&file).lines().map(str::trim) {
            if is_test_attribute(line) {
                is_test = true;
            } else if let Some(name) = function_name(line) {
                if std::mem::take(&mut is_test) {
                    names.entry(name).or_default().push(file.clone());
                }
            }
        }
    }
    names
}

#[test]
fn no_test_name_is_longer_than_seventy_characters() {
    let folders = crates();
    let names: Vec<_> = folders.iter().flat_map(|folder| names(folder)).collect();
    assert!(!names.is_empty());
    let mut long = Vec::new();
    for (name, files) in names {
        let length = name.chars().count();
        if length > LONGEST {
            long.push(format!("{length}: {}::{name}", files[0]));
        }
    }
    assert!(long.is_empty(), "longer than {LONGEST}: {long:#?}");
}

/// Each file in `tests/tests` is a program of its own: a test's name is all that cargo prints of it, and all that
/// chooses it on the command line. Unit tests are printed with their modules.
#[test]
fn no_test_name_occurs_twice_in_the_crate_tests() {
    for (name, files) in names("tests") {
        assert_eq!(files.len(), 1, "{name} is in {files:?}");
    }
}
