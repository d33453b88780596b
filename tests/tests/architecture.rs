//! The order of the modules of `bg-runtime`, which `docs/guide/internals.md` draws, read from their own `use` lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the ground up. Each may use those before it, and itself.
const MODULES: [&str; 15] = [
    "sync",
    "log_target",
    "one_line",
    "scope",
    "contain",
    "clock",
    "secret_key",
    "task",
    "durable",
    "run",
    "request",
    "route",
    "service",
    "background",
    "testing",
];

/// What only hands names on, or describes them, and what only the model checker builds.
const NO_MODULES: [&str; 4] = ["lib", "private", "guide", "interleavings"];

/// The uses that go back up, with the reason for each. At most two.
const UP: [(&str, &str, &str); 2] = [
    (
        "task/context.rs",
        "run",
        "a context is a handle to its runner, and a trait between them would have one implementor",
    ),
    (
        "task/tracked.rs",
        "run",
        "a handle to a task is one to its runner as well, from the moment at which the task is queued",
    ),
];

/// One source file of `bg-runtime`, without its tests.
struct File {
    /// Below `src`, with `/`.
    path: String,
    /// The path of the module that it is: `["run", "report", "hooks"]`.
    module: Vec<String>,
    code: String,
}

fn source_files() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bg-runtime/src");
    let mut files = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.extend(file(&src, &path));
            }
        }
    }
    assert!(
        files.len() > 50,
        "{} files are not the whole crate",
        files.len()
    );
    files
}

/// `None` for a file of tests.
fn file(src: &Path, path: &Path) -> Option<File> {
    let below: PathBuf = path.strip_prefix(src).unwrap().to_owned();
    if below.ends_with("tests.rs") {
        return None;
    }
    let mut module: Vec<String> = below
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    let text = fs::read_to_string(path).unwrap();
    Some(File {
        path: module_path(&below),
        module,
        code: code(&text),
    })
}

fn module_path(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    parts.join("/")
}

/// The text without comments, and without what only tests compile: unit tests stand last in a file.
fn code(text: &str) -> String {
    let text = match text.find("\n#[cfg(all(test, not(shuttle)))]\nmod tests {") {
        Some(tests) => &text[..tests],
        None => text.split("\n#[cfg(test)]\nmod tests {").next().unwrap(),
    };
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules that `lib.rs` takes its public names from, by name: `crate::Background` is `background`.
fn reexports(files: &[File]) -> BTreeMap<String, String> {
    let lib = files.iter().find(|file| file.path == "lib.rs").unwrap();
    let mut modules = BTreeMap::new();
    for statement in lib.code.split(';') {
        let Some((_, path)) = statement.split_once("pub use self::") else {
            continue;
        };
        let (module, names) = path.split_once("::").unwrap();
        for name in identifiers(names) {
            modules.insert(name, module.to_owned());
        }
    }
    assert!(modules.contains_key("Background"), "{modules:?}");
    modules
}

fn identifiers(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.split(move |c| !is_part(c))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// The modules at the top that a file names, by `crate::` or by as many `super::` as lead there.
fn used_modules(file: &File, reexports: &BTreeMap<String, String>) -> BTreeSet<String> {
    let root = "super::".repeat(file.module.len());
    let code = file.code.replace("$crate::", "");
    let mut used = BTreeSet::new();
    for prefix in ["crate::", root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with("super::") {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            let group = rest.strip_prefix('{').map(first_of_group);
            let names = group.unwrap_or_else(|| identifiers(rest).take(1).collect());
            for name in names {
                used.insert(reexports.get(&name).cloned().unwrap_or(name));
            }
        }
    }
    used
}

/// The first names in `{a::b, c::{d, e}, f}`, whose brace is open already: `a`, `c`, `f`.
fn first_of_group(rest: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut depth = 0;
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            c => names.last_mut().unwrap().push(c),
        }
    }
    let first = names.iter().filter_map(|path| identifiers(path).next());
    first.collect()
}

fn floor(module: &str) -> Option<usize> {
    MODULES.iter().position(|known| *known == module)
}

#[test]
fn no_module_uses_one_above_it_but_for_the_listed_uses() {
    let files = source_files();
    let reexports = reexports(&files);
    let mut wrong = Vec::new();
    let mut up = BTreeSet::new();
    for file in &files {
        let module = file.module[0].as_str();
        if NO_MODULES.contains(&module) {
            continue;
        }
        let Some(own) = floor(module) else {
            wrong.push(format!(
                "{}: give `{module}` its place in MODULES",
                file.path
            ));
            continue;
        };
        for used in used_modules(file, &reexports) {
            match floor(&used) {
                Some(floor) if floor <= own => {}
                Some(_)
                    if UP
                        .iter()
                        .any(|(from, to, _)| (*from, *to) == (&file.path, &used)) =>
                {
                    up.insert((file.path.clone(), used));
                }
                Some(_) => wrong.push(format!(
                    "{} uses `{used}`, which stands above it",
                    file.path
                )),
                None => wrong.push(format!("{} uses `{used}`, which is no module", file.path)),
            }
        }
    }
    for (from, to, _) in UP {
        if !up.contains(&(from.to_owned(), to.to_owned())) {
            wrong.push(format!("{from} uses `{to}` no more: take it off the list"));
        }
    }
    assert!(UP.len() <= 2, "more than two uses go back up");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_type_of_the_crate_has_a_name_of_its_own() {
    let mut defined = BTreeMap::<String, BTreeSet<String>>::new();
    for file in source_files() {
        for line in file.code.lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub").map_or(line, |rest| {
                let visibility = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
                visibility.map_or(rest, |(_, rest)| rest).trim_start()
            });
            let mut words = line.split_whitespace();
            if matches!(words.next(), Some("struct" | "enum" | "trait" | "union")) {
                if let Some(name) = words.next().and_then(|word| identifiers(word).next()) {
                    defined.entry(name).or_default().insert(file.path.clone());
                }
            }
        }
    }
    assert!(defined.len() > 100, "{} types are not all", defined.len());
    defined.retain(|_, files| files.len() > 1);
    assert!(defined.is_empty(), "{defined:#?}");
}

#[test]
fn only_dispatch_asks_whether_tasks_run_or_are_recorded() {
    // Where a runner is built, it is said which of the two it is.
    let builds = ["run/mod.rs", "background/builder.rs", "testing/recorder.rs"];
    let asks = |file: &File| {
        let code = &file.code;
        let is_built = builds.contains(&file.path.as_str());
        let matched = [
            "Dispatch::Record(_)",
            "Dispatch::Record(recording) =>",
            "Dispatch::Run =>",
        ];
        matched.iter().any(|arm| code.contains(arm))
            || (code.contains("Dispatch::") && !is_built)
            || code.contains(".recording()")
    };
    let files = source_files();
    let asking = files.iter().filter(|file| asks(file));
    let asking: Vec<_> = asking.map(|file| file.path.as_str()).collect();
    assert!(asking.is_empty(), "{asking:?}");
}

#[test]
fn the_runner_has_its_methods_in_one_file() {
    let files = source_files();
    let blocks = files
        .iter()
        .filter(|file| file.code.contains("impl Runner {"));
    let blocks: Vec<_> = blocks.map(|file| file.path.as_str()).collect();
    assert_eq!(blocks, ["run/mod.rs"]);
}

/// P-TRACE-4
///
/// Filters of the log name targets, so that these are public names and no paths of modules.
#[test]
fn everything_that_is_logged_has_one_of_the_listed_targets() {
    const CALLS: [&str; 8] = [
        "error!(",
        "warn!(",
        "info!(",
        "debug!(",
        "trace!(",
        "event!(",
        "_span!(",
        "enabled!(",
    ];
    let mut calls = 0;
    let mut wrong = Vec::new();
    for file in source_files() {
        for (at, _) in file.code.match_indices("tracing::") {
            let rest = &file.code[at + "tracing::".len()..];
            let Some((_, arguments)) = rest.split_once("!(") else {
                continue;
            };
            let call = &rest[..rest.len() - arguments.len()];
            let is_call = CALLS.iter().any(|name| call.ends_with(name));
            if !is_call || call.contains(char::is_whitespace) {
                continue;
            }
            calls += 1;
            let arguments = arguments.trim_start();
            let targets = ["RUNTIME", "TASK", "FAILURE"];
            let is_listed = |target: &&str| arguments.starts_with(&format!("target: {target},"));
            if !targets.iter().any(is_listed) {
                let line = file.code[..at].lines().count();
                wrong.push(format!("{}:{line}: {call}", file.path));
            }
        }
    }
    assert!(calls > 15, "{calls} calls are not all");
    assert!(
        wrong.is_empty(),
        "give these a `target` of `log_target.rs`:\n{}",
        wrong.join("\n")
    );
}
