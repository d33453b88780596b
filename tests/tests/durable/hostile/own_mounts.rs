//! Disks that are full, or may not be written to, for one test alone.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs, thread};

use tests::{run_again, within};

const CHILD: &str = "BG_TESTS_OWN_MOUNTS";

/// Runs a test in a process that has its mounts for itself: they end with it. Where the system allows no such process, a
/// line says that the test has not run. `name` is that of the test, as the harness knows it.
pub(super) fn in_own_mounts(name: &str, test: impl AsyncFnOnce()) {
    if env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        return runtime.expect("a runtime").block_on(async {
            within("the test", test()).await;
        });
    }
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        // Root needs no more, and may start what does not run as root.
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
            unshare.arg("--map-root-user");
        }
        unshare
    };
    let allowed = unshare()
        .args(["mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    if !allowed.is_ok_and(|tried| tried.status.success()) {
        let test = thread::current().name().unwrap_or(name).to_owned();
        eprintln!("not run: {test}, because a process may not have mounts of its own here");
        return;
    }
    let mut program = unshare();
    program.arg(env::current_exe().expect("the path of this program"));
    run_again(program, CHILD, name);
}

/// Mounts a disk of this size, or mounts it anew with other options.
pub(super) fn mount(options: &str, at: &Path) {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(at);
    let mounted = mount.output().expect("there is a `mount`");
    assert!(mounted.status.success(), "{mounted:?}");
}
