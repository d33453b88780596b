//! Cargo, on packages that are written for one measurement.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The cargo that runs this benchmark.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.stdin(Stdio::null());
    cargo
}

/// A package in a directory of its own, with the versions that this workspace is locked to.
pub(crate) struct Package {
    directory: PathBuf,
}

impl Package {
    pub(crate) fn write(name: &str, dependencies: &str, source: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("figures")
            .join(name);
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n[workspace]\n"
        );
        fs::create_dir_all(directory.join("src")).expect("a directory");
        fs::write(directory.join("Cargo.toml"), manifest).expect("a manifest");
        fs::write(directory.join("src/lib.rs"), source).expect("a source file");
        fs::copy(workspace().join("Cargo.lock"), directory.join("Cargo.lock"))
            .expect("a lock file");
        Self { directory }
    }

    pub(crate) fn with_bg_runtime(name: &str, more: &str, source: &str) -> Self {
        let path = env!("CARGO_MANIFEST_DIR");
        Self::write(
            name,
            &format!("bg-runtime = {{ path = {path:?} }}\n{more}"),
            source,
        )
    }

    /// What cargo prints.
    pub(crate) fn cargo<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = cargo()
            .args(arguments)
            .args(["--quiet", "--offline"])
            .current_dir(&self.directory)
            .env("CARGO_TARGET_DIR", self.target())
            // As in a project of a user's: the configuration of this workspace switches it off.
            .env("CARGO_INCREMENTAL", "1")
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo can be started");
        assert!(
            output.status.success(),
            "cargo failed in {}",
            self.directory.display()
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Seconds that cargo takes.
    pub(crate) fn time<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> f64 {
        let begun = Instant::now();
        self.cargo(arguments);
        begun.elapsed().as_secs_f64()
    }

    /// Makes cargo believe that the source has changed.
    pub(crate) fn touch(&self) {
        let source = self.directory.join("src/lib.rs");
        let text = fs::read(&source).expect("the source file");
        fs::write(source, text).expect("the source file");
    }

    /// Removes everything that has been built.
    pub(crate) fn clean(&self) {
        let _ = fs::remove_dir_all(self.target());
    }

    fn target(&self) -> PathBuf {
        self.directory.join("target")
    }
}

/// The dependencies that bg-runtime shares with any server on axum, as they stand in the
/// workspace's manifest.
pub(crate) fn axum_and_tokio() -> String {
    let manifest =
        fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace's manifest");
    let lines = manifest.lines();
    lines
        .filter(|line| line.starts_with("axum = ") || line.starts_with("tokio = "))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}
