//! `PROMISES.md` names the tests that prove it, and they name what they prove.

use std::collections::{BTreeMap, BTreeSet};

use tests::sources::{
    function_name, is_test_attribute, is_test_of_each_database, read, rust_files,
};

/// `P-ORDER-1`.
type Id = String;

/// A test by its file and name, as the page writes it: `tests/tests/order.rs::a_failure_ends_its_list_and_no_other`.
type Test = String;

/// The texts between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The page's promises in their order, each with the tests that it names.
fn promised() -> Vec<(Id, BTreeSet<Test>)> {
    let page = read("PROMISES.md");
    let rows = page.lines().filter(|line| line.starts_with("| P-"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, sentence, tests] = cells.as_slice() else {
            panic!("{row} has {} cells", cells.len())
        };
        assert!(sentence.ends_with('.'), "{id} is no sentence: {sentence}");
        let tests: BTreeSet<_> = code(tests).map(str::to_owned).collect();
        assert!(!tests.is_empty(), "no test proves {id}");
        ((*id).to_owned(), tests)
    })
    .collect()
}

/// The tests of one file, each with what its documentation cites. A citation is a line of nothing else:
/// `/// P-ORDER-1, P-ORDER-2`.
fn tests_of(path: &str, found: &mut BTreeMap<Test, BTreeSet<Id>>) {
    let mut cited = BTreeSet::new();
    let mut is_test = false;
    for line in read(path).lines().map(str::trim) {
        if let Some(ids) = line.strip_prefix("/// P-") {
            let ids = ids.split(", P-").map(|id| format!("P-{id}"));
            cited.extend(ids);
        } else if is_test_attribute(line) {
            is_test = true;
        } else if let Some(name) = function_name(line) {
            if std::mem::take(&mut is_test) || is_test_of_each_database(line) {
                found.insert(format!("{path}::{name}"), std::mem::take(&mut cited));
            }
            assert!(
                cited.is_empty(),
                "{path}: `{name}` cites {cited:?} and is no test"
            );
        }
    }
    assert!(cited.is_empty(), "{path} cites {cited:?} above nothing");
}

/// Every test, with what it cites.
fn tests() -> BTreeMap<Test, BTreeSet<Id>> {
    let folders = [
        "tests/tests",
        "bg-runtime/src",
        "bg-macros/src",
        "ui-tests/tests",
    ];
    let mut found = BTreeMap::new();
    for file in folders.into_iter().flat_map(rust_files) {
        tests_of(&file, &mut found);
    }
    found
}

#[test]
fn each_promise_has_an_identifier_of_its_own() {
    let mut seen = BTreeSet::new();
    for (id, _) in promised() {
        let mut parts = id.split('-');
        assert_eq!(parts.next(), Some("P"));
        let number: Option<u32> = parts.next_back().and_then(|number| number.parse().ok());
        assert!(
            number.is_some_and(|number| number > 0),
            "{id} has no number"
        );
        assert!(
            parts.all(|word| word.chars().all(char::is_uppercase)),
            "{id}"
        );
        assert!(seen.insert(id.clone()), "{id} is there twice");
    }
    assert!(!seen.is_empty());
}

#[test]
fn each_test_that_a_promise_names_is_there_and_cites_it() {
    let tests = tests();
    for (id, named) in promised() {
        for test in named {
            let cited = tests
                .get(&test)
                .unwrap_or_else(|| panic!("{id}: there is no test {test}"));
            assert!(cited.contains(&id), "{test} does not cite {id}");
        }
    }
}

#[test]
fn each_test_cites_promises_that_name_it() {
    let promised: BTreeMap<_, _> = promised().into_iter().collect();
    for (test, cited) in tests() {
        for id in cited {
            let named = promised
                .get(&id)
                .unwrap_or_else(|| panic!("{test}: there is no promise {id}"));
            assert!(named.contains(&test), "{id} does not name {test}");
        }
    }
}
