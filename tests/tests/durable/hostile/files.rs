//! Files of SQLite that cannot be worked with.

use std::fs;
use std::time::{Duration, Instant};

use axum::response::IntoResponse;
use bg_runtime::durable::{EnqueueError, Sqlite, StartError, StoredState};
use bg_runtime::sqlx::{self, Connection, SqliteConnection};
use tests::within;

use super::{background, start_error, works};
use crate::tasks::Note;

async fn connect(file: &std::path::Path) -> SqliteConnection {
    let url = format!("sqlite://{}?mode=rwc", file.display());
    SqliteConnection::connect(&url).await.unwrap()
}

/// P-DURABLE-51
#[tokio::test]
async fn a_path_that_is_no_database_is_told_of_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    fs::write(file("text"), "no database, ".repeat(100)).unwrap();
    let text = file("text").display().to_string();
    for (path, why) in [
        (
            directory.path().to_owned(),
            "it is a directory: name a file in it",
        ),
        (
            file("text").join("tasks.db"),
            "the file or its directory is missing, is something else",
        ),
        (file("text"), "file is not a database"),
        (file("missing").join("tasks.db"), "there is no directory"),
    ] {
        let error = start_error(Sqlite::file(&path)).await;
        let begin = format!("SQLite ({}) cannot be reached: ", path.display());
        assert!(error.starts_with(&begin), "{error}");
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(
        fs::read_to_string(text).unwrap(),
        "no database, ".repeat(100)
    );
    for store in [Sqlite::file(file("none")), Sqlite::file(file("empty"))] {
        fs::write(file("empty"), "").unwrap();
        let error = within("the start", background(store.migrate(false)).start()).await;
        assert!(
            matches!(error, Err(StartError::OlderSchema { .. })),
            "{error:?}"
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains("leave `migrate(false)` out"), "{error}");
    }
    assert!(!file("none").exists());
    works(Sqlite::file(file("empty"))).await;
}

/// P-DURABLE-51
#[tokio::test]
async fn a_file_with_tables_of_somebody_else_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("theirs.db");
    let mut other = connect(&file).await;
    let table = "create table river_job (theirs text)";
    sqlx::raw_sql(table).execute(&mut other).await.unwrap();
    let error = start_error(Sqlite::file(&file)).await;
    assert!(error.contains("could not be brought up to date"), "{error}");
    assert!(error.contains("table river_job already exists"), "{error}");
}

/// P-DURABLE-52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_locked_for_long_refuses_in_time_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tasks.db");
    let timeout = Duration::from_millis(300);
    let background = background(Sqlite::file(&file).store_timeout(timeout));
    background.start().await.unwrap();
    let mut other = connect(&file).await;
    let lock = sqlx::raw_sql("begin immediate");
    lock.execute(&mut other).await.unwrap();
    let begun = Instant::now();
    let refused = background.enqueue(Note::new("refused")).await.unwrap_err();
    assert!(begun.elapsed() < timeout * 10, "{:?}", begun.elapsed());
    assert!(
        matches!(refused, EnqueueError::Timeout { .. }),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains("did not answer within 300ms"),
        "{refused}"
    );
    let unlock = sqlx::raw_sql("rollback");
    unlock.execute(&mut other).await.unwrap();
    // The one that was given up may be in the way for a moment.
    let id = loop {
        match background.enqueue(Note::new("stored")).await {
            Ok(id) => break id,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
        }
    };
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    within("the shutdown", background.shutdown()).await;
}

/// The transaction has the lock that the tables would be made with.
/// P-DURABLE-52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stores_first_in_a_transaction_is_told_to_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tasks.db");
    let mut connection = connect(&file).await;
    let background = background(Sqlite::file(&file).store_timeout(Duration::from_secs(1)));
    let mut transaction = connection.begin_with("begin immediate").await.unwrap();
    let refused = background
        .enqueue_in(&mut transaction, Note::new("too early"))
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("call `start()` before"), "{refused}");
    transaction.rollback().await.unwrap();
    within("the start", background.start()).await.unwrap();
    let mut transaction = connection.begin_with("begin immediate").await.unwrap();
    let id = background
        .enqueue_in(&mut transaction, Note::new("in time"))
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    within("the shutdown", background.shutdown()).await;
}

/// P-DURABLE-51
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_only_reads_is_told_of_at_the_start() {
    use super::own_mounts::{in_own_mounts, mount};

    let name = "hostile::files::a_disk_that_only_reads_is_told_of_at_the_start";
    in_own_mounts(name, async || {
        let directory = tempfile::tempdir().unwrap();
        mount("size=8m", directory.path());
        let file = directory.path().join("tasks.db");
        let before = background(Sqlite::file(&file));
        before.start().await.unwrap();
        before.shutdown().await;
        drop(before);
        // As a process leaves it that is killed.
        let left = directory.path().join("left.db");
        let mut connection = connect(&file).await;
        sqlx::raw_sql("pragma user_version = 1")
            .execute(&mut connection)
            .await
            .unwrap();
        for part in ["", "-wal", "-shm"] {
            let [from, to] = [&file, &left].map(|file| format!("{}{part}", file.display()));
            fs::copy(from, to).unwrap();
        }
        connection.close().await.unwrap();
        // As long as a connection is open, the disk is in use.
        tests::eventually("a disk that only reads", || {
            let mut mount = std::process::Command::new("mount");
            let mount = mount.args(["-o", "remount,ro"]).arg(directory.path());
            mount.output().unwrap().status.success()
        })
        .await;
        for path in [file, left, directory.path().join("new.db")] {
            let error = start_error(Sqlite::file(&path)).await;
            assert!(error.contains("cannot be reached: the file"), "{error}");
        }
    });
}

/// P-DURABLE-53
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_refuses_tasks_until_there_is_room() {
    use super::own_mounts::{in_own_mounts, mount};

    let name = "hostile::files::a_disk_that_is_full_refuses_tasks_until_there_is_room";
    in_own_mounts(name, async || {
        let directory = tempfile::tempdir().unwrap();
        mount("size=8m", directory.path());
        let background = background(Sqlite::file(directory.path().join("tasks.db")));
        background.start().await.unwrap();
        background.queue("default").pause().await.unwrap();
        let mut stored = Vec::new();
        let refused = loop {
            match background.enqueue(Note::new("x".repeat(100_000))).await {
                Ok(id) => stored.push(id),
                Err(refused) => break refused,
            }
        };
        assert!(!stored.is_empty());
        assert!(
            matches!(refused, EnqueueError::NotStored { .. }),
            "{refused:?}"
        );
        let refused = refused.to_string();
        assert!(
            refused.contains("there is no room on its disk"),
            "{refused}"
        );
        mount("remount,size=32m", directory.path());
        background.queue("default").resume().await.unwrap();
        stored.push(background.enqueue(Note::new("again")).await.unwrap());
        for id in &stored {
            background.stored().get(*id).outcome().await.unwrap();
        }
        let counts = background.stored().counts().await.unwrap();
        assert_eq!(counts, [(StoredState::Completed, stored.len() as u64)]);
        background.shutdown().await;
    });
}

/// P-DURABLE-15
#[tokio::test]
async fn a_transaction_on_another_file_is_refused_as_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let background = background(Sqlite::file(directory.path().join("tasks.db")));
    background.start().await.unwrap();
    let other = format!(
        "sqlite://{}?mode=rwc",
        directory.path().join("other.db").display()
    );
    for (url, why) in [
        (&*other, "another file"),
        ("sqlite::memory:", "a database in memory"),
    ] {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let refused = background.enqueue_in(&mut transaction, Note::new("astray"));
        let error = within("an answer", refused).await.unwrap_err();
        assert!(
            matches!(error, EnqueueError::NoTransactions { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.into_response().status(), 500);
        transaction.commit().await.unwrap();
    }
    within("the shutdown", background.shutdown()).await;
}

/// P-DURABLE-22
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_link_to_a_file_ends_are_heard_of_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let [file, link] = ["file.db", "link.db"].map(|name| directory.path().join(name));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let (creator, worker) = (
        background(Sqlite::file(&link)),
        background(Sqlite::file(&link)),
    );
    worker.start().await.unwrap();
    let begun = Instant::now();
    for _ in 0..3 {
        let id = creator.enqueue(Note::new("hears")).await.unwrap();
        within("the end", creator.stored().get(id).outcome())
            .await
            .unwrap();
    }
    // Who hears nothing looks after 5 seconds, each time.
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "{:?}",
        begun.elapsed()
    );
    within("the shutdown", worker.shutdown()).await;
}

/// P-DURABLE-22
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_that_nobody_takes_keeps_nobody_from_storing() {
    let directory = tempfile::tempdir().unwrap();
    let background = background(Sqlite::file(directory.path().join("tasks.db")).enqueue_only());
    let id = background.enqueue(Note::new("waits")).await.unwrap();
    // More clients than there are connections, each of which takes something for a moment and then nothing.
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut progress = background.stored().get(id).progress();
        for millis in 1..6 {
            let next = tokio::time::timeout(Duration::from_millis(millis), progress.next());
            assert!(next.await.is_err(), "it has not begun");
        }
        clients.push(progress);
    }
    background.enqueue(Note::new("another")).await.unwrap();
    drop(clients);
}
