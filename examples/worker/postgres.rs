//! A PostgreSQL for this example alone, in a directory of its own. An application has one already.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use examples::OwnServer;

/// Where distributions put the programs of a server, one folder for each version.
const FOLDERS: [&str; 3] = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"];

/// A server, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Before its directory, so that it ends before that is removed.
    _running: OwnServer,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts a server; `None` where there is no PostgreSQL.
    pub(crate) fn start() -> io::Result<Option<Self>> {
        let Some(programs) = programs() else {
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let user = other_user();
        if user.is_some() {
            chown(directory.path(), user, None)?;
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700))?;
        let data = directory.path().join("data");
        let as_user = |program: &Path| {
            let mut command = Command::new(program);
            if let Some(user) = user {
                command.uid(user);
            }
            command.env_remove("PGDATA").env("LC_ALL", "C");
            command.current_dir(directory.path());
            command
        };
        let made = as_user(&programs.join("initdb"))
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .arg("--pgdata")
            .arg(&data)
            .output()?;
        if !made.status.success() {
            let error = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(io::Error::other(error));
        }
        // A socket in that directory, and no port that anybody could reach.
        let arguments = ["-D".as_ref(), data.as_os_str(), "-k".as_ref()];
        let arguments = arguments.into_iter().chain([
            directory.path().as_os_str(),
            "-c".as_ref(),
            "listen_addresses=".as_ref(),
        ]);
        let running = OwnServer::start(
            as_user(Path::new("sh")),
            "INT",
            programs.join("postgres"),
            arguments,
            "ready to accept connections",
        )?;
        Ok(Some(Self {
            _running: running,
            directory,
        }))
    }

    pub(crate) fn url(&self) -> String {
        let directory = self.directory.path().display();
        format!("postgres://postgres@localhost/postgres?host={directory}")
    }
}

/// The folder of the newest server that is installed.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).collect::<Vec<_>>();
    let installed = FOLDERS.into_iter().flat_map(|folder| {
        let versions = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
        versions.sort();
        versions.reverse();
        versions
    });
    let mut folders = installed.chain(on_path);
    folders.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// A user that is not root, under whom PostgreSQL does not run. `None` if this process is somebody else.
fn other_user() -> Option<u32> {
    let is_root = fs::metadata("/proc/self").ok()?.uid() == 0;
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let uid = |name: &str| {
        let mut lines = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let line = lines.find(|line| line[0] == name)?;
        line.get(2)?.parse().ok()
    };
    is_root.then(|| uid("postgres").or_else(|| uid("nobody")))?
}
