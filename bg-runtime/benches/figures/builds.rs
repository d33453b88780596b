//! What the library costs in a build: crates, and time.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::cargo::{Package, axum_and_tokio};
use crate::table::{Figure, Measured, median};

const CHECKS: usize = 5;
const BUILDS: usize = 5;
const TASKS: usize = 200;
const ROUTES: usize = 100;

/// Crates in the tree.
pub(crate) fn measure_tree() {
    let baseline = tree(&baseline());
    let ours = tree(&ours());
    let beyond: Vec<&str> = ours.difference(&baseline).map(String::as_str).collect();
    println!("  {}", beyond.join(", "));
    print(
        "crates in the default dependency tree beyond axum's and tokio's",
        beyond.len() as f64,
        12.0,
        "",
    );
}

pub(crate) fn measure_check() {
    print(
        "`cargo check` of 200 tasks and 100 routes, per attribute",
        check_per_attribute(),
        4.0,
        " ms",
    );
}

pub(crate) fn measure_build() {
    print(
        "clean debug build, over that of axum and tokio alone",
        clean_build(),
        1.35,
        "",
    );
}

fn print(name: &'static str, measured: f64, goal: f64, unit: &'static str) {
    let figure = Figure {
        name,
        measured: Measured::Value(measured),
        goal: Some(goal),
        unit,
    };
    figure.print();
}

fn baseline() -> Package {
    Package::write("axum-and-tokio", &axum_and_tokio(), "")
}

fn ours() -> Package {
    Package::with_bg_runtime("bg-runtime-alone", "", "")
}

/// Names and versions of what is built for a package, besides itself and the two crates of the
/// library.
fn tree(package: &Package) -> BTreeSet<String> {
    let tree = package.cargo([
        "tree",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    tree.lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .filter(|name| !name.starts_with("bg-") && !name.starts_with("axum-and-tokio"))
        .collect()
}

/// Milliseconds of a check after a change, for each attribute.
fn check_per_attribute() -> f64 {
    let without =
        Package::with_bg_runtime("without-attributes", &axum_and_tokio(), &functions(false));
    let with = Package::with_bg_runtime("with-attributes", &axum_and_tokio(), &functions(true));
    let check = |package: &Package| {
        package.touch();
        package.time(["check"])
    };
    // The first checks the dependencies as well.
    let _ = (check(&without), check(&with));
    let rounds: Vec<(f64, f64)> = (0..CHECKS)
        .map(|_| (check(&without), check(&with)))
        .collect();
    let (plain, ours) = (
        rounds.iter().map(|round| round.0),
        rounds.iter().map(|round| round.1),
    );
    println!(
        "  without attributes: {:.2} s; with: {:.2} s",
        median(plain.collect()),
        median(ours.collect())
    );
    let attributes = (TASKS + ROUTES) as f64;
    median(
        rounds
            .iter()
            .map(|(plain, ours)| (ours - plain) * 1e3 / attributes)
            .collect(),
    )
}

/// The same functions, with the attributes, or mounted as axum does.
fn functions(attributes: bool) -> String {
    let mut source = String::new();
    let mut write = |text: String| source.write_str(&text).expect("text can be added to");
    for number in 0..TASKS {
        if attributes {
            write("#[bg_runtime::background_task]\n".to_owned());
        }
        write(format!(
            "pub async fn task_{number}(to: String, number: u64) {{ drop((to, number)); }}\n"
        ));
    }
    for number in 0..ROUTES {
        if attributes {
            write(format!("#[bg_runtime::get(\"/route_{number}/{{id}}\")]\n"));
        }
        write(format!(
            "pub async fn route_{number}(axum::extract::Path(id): axum::extract::Path<u64>) -> String {{ id.to_string() }}\n"
        ));
    }
    let list = |item: fn(usize) -> String| (0..ROUTES).map(item).collect::<Vec<_>>().join("");
    write("pub fn app() -> axum::Router {\n".to_owned());
    write(if attributes {
        format!(
            "bg_runtime::routes![{}]",
            list(|number| format!("route_{number}, "))
        )
    } else {
        let route = |number| {
            format!(".route(\"/route_{number}/{{id}}\", axum::routing::get(route_{number}))\n")
        };
        format!("axum::Router::new(){}", list(route))
    });
    write("\n}\n".to_owned());
    source
}

/// A clean build, as a multiple of that of axum and tokio alone.
fn clean_build() -> f64 {
    let build = |package: Package| {
        package.clean();
        let took = package.time(["build"]);
        package.clean();
        took
    };
    let rounds: Vec<(f64, f64)> = (0..BUILDS)
        .map(|_| (build(baseline()), build(ours())))
        .collect();
    let (plain, ours) = (
        rounds.iter().map(|round| round.0),
        rounds.iter().map(|round| round.1),
    );
    println!(
        "  axum and tokio: {:.1} s; bg-runtime: {:.1} s",
        median(plain.collect()),
        median(ours.collect())
    );
    median(rounds.iter().map(|(plain, ours)| ours / plain).collect())
}
