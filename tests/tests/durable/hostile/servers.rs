//! Servers of PostgreSQL that cannot be worked with, or only just.

use std::time::{Duration, Instant};

use axum::response::IntoResponse;
use bg_runtime::durable::{EnqueueError, Postgres, StartError, StoredState};
use bg_runtime::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use tests::durable::PostgresServer;
use tests::{eventually, within};

use super::{background, start_error, works};
use crate::tasks::{Lab, Note};

async fn run(connection: &mut PgConnection, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

async fn connect(url: &str) -> PgConnection {
    within("a connection", PgConnection::connect(url))
        .await
        .unwrap()
}

/// The URL with another role.
fn as_role(url: &str, role: &str) -> String {
    url.replace("postgres://postgres@", &format!("postgres://{role}@"))
}

/// A name that no other test has.
fn unique(begin: &str) -> String {
    format!("{begin}_{:x}", fastrand::u64(..))
}

/// P-DURABLE-56
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_only_reads_is_told_of_at_the_start() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "create role reader superuser login; alter role reader set default_transaction_read_only = on").await;
    works(Postgres::url(server.url())).await;
    let standby = server.standby();
    let error = start_error(Postgres::url(standby.url())).await;
    assert!(error.contains("it is a standby"), "{error}");
    assert!(error.contains("give the address of the primary"), "{error}");
    let error = start_error(Postgres::url(as_role(&server.url(), "reader"))).await;
    assert!(error.contains("its transactions are read-only"), "{error}");
    assert!(error.contains("`default_transaction_read_only`"), "{error}");
}

/// P-DURABLE-56
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lets_nobody_in_says_why_without_a_password() {
    let hba = "host all guest 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    let Some(server) = PostgresServer::start_with(&[], &[("pg_hba.conf", hba)]) else {
        return;
    };
    let mut admin = connect(&server.url()).await;
    run(
        &mut admin,
        "create role guest superuser login password 's3cret'",
    )
    .await;
    let guest = |password: &str| as_role(&server.url(), &format!("guest:{password}"));
    for url in [guest("wr0ng"), as_role(&server.url(), "guest")] {
        let store = Postgres::url(url);
        assert!(!format!("{store:?}").contains("wr0ng"), "{store:?}");
        let error = within("the start", background(store).start())
            .await
            .unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("password authentication failed for user \"guest\""),
            "{shown}"
        );
        assert!(!shown.contains("wr0ng"), "{shown}");
    }
    works(Postgres::url(guest("s3cret"))).await;
    let nowhere = server
        .url()
        .replacen("/postgres", "/nowhere", 2)
        .replace("//nowhere@", "//postgres@");
    let nowhere = nowhere.replace("/nowhere://", "/postgres://");
    let error = start_error(Postgres::url(&nowhere)).await;
    assert!(
        error.contains("database \"nowhere\" does not exist"),
        "{nowhere} {error}"
    );
    assert!(error.contains("create the database first"), "{error}");
}

/// P-DURABLE-57
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_rights_is_told_which_and_what_to_do() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let (role, schema) = (unique("nobody"), unique("theirs"));
    let mut admin = connect(&server.url()).await;
    run(&mut admin, &format!("create role {role} login")).await;
    let store = || Postgres::url(as_role(&server.url(), &role)).schema(&schema);
    // There is nothing yet, and it may not create that.
    let error = start_error(store()).await;
    assert!(error.contains("could not be brought up to date"), "{error}");
    assert!(
        error.contains("permission denied for database postgres"),
        "{error}"
    );
    assert!(
        error.contains("have a role that has it call `run_migrations()`"),
        "{error}"
    );
    let error = within("the start", background(store().migrate(false)).start()).await;
    assert!(
        matches!(error, Err(StartError::OlderSchema { .. })),
        "{error:?}"
    );
    // There is everything, and it may not touch that.
    let migrating = Postgres::url(server.url()).schema(&schema).run_migrations();
    within("the tables", migrating).await.unwrap();
    run(
        &mut admin,
        &format!("grant usage on schema {schema} to {role}"),
    )
    .await;
    let error = start_error(store().migrate(false)).await;
    assert!(
        error.contains("permission denied for table river_migration"),
        "{error}"
    );
    assert!(error.contains("its role has no right"), "{error}");
    let grants = format!(
        "grant select, insert, update, delete on all tables in schema {schema} to {role};
         grant usage on all sequences in schema {schema} to {role}"
    );
    run(&mut admin, &grants).await;
    works(store().migrate(false)).await;
}

/// P-DURABLE-58
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_free_connection_is_told_of_and_comes_back() {
    let settings = ["max_connections=20", "superuser_reserved_connections=1"];
    let Some(server) = PostgresServer::start_with(&settings, &[]) else {
        return;
    };
    let url = server.url();
    let background = background(Postgres::url(&url).enqueue_only());
    background.start().await.unwrap();
    let mut taken = Vec::new();
    while let Ok(connection) = PgConnection::connect(&url).await {
        taken.push(connection);
    }
    let error = start_error(Postgres::url(&url)).await;
    assert!(error.contains("it takes no more connections"), "{error}");
    assert!(error.contains("`connections(..)`"), "{error}");
    // Those of the pool are lost, and taken by others.
    run(
        &mut taken[0],
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'bg:%'",
    )
    .await;
    let begun = Instant::now();
    let refused = loop {
        while let Ok(connection) = PgConnection::connect(&url).await {
            taken.push(connection);
        }
        let refused = background.enqueue(Note::new("refused")).await.unwrap_err();
        assert!(
            matches!(refused, EnqueueError::NotStored { .. }),
            "{refused:?}"
        );
        let refused = refused.to_string();
        if refused.contains("it takes no more connections") {
            break refused;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{refused}");
    };
    assert!(refused.contains("raise its `max_connections`"), "{refused}");
    drop(taken);
    while let Err(error) = background.enqueue(Note::new("stored")).await {
        assert!(begun.elapsed() < Duration::from_secs(40), "{error}");
    }
    let waiting = background.stored().counts().await.unwrap();
    assert_eq!(waiting, [(StoredState::Waiting, 1)]);
}

/// P-DURABLE-59
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_timeouts_of_a_role_keep_nobody_from_starting_or_working() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let (role, schema) = (unique("hasty"), unique("hasty"));
    let mut admin = connect(&server.url()).await;
    let sql = format!(
        "create role {role} login superuser; alter role {role} set statement_timeout = '300ms';
         alter role {role} set lock_timeout = '200ms'"
    );
    run(&mut admin, &sql).await;
    // Another process has been making the tables for longer than that.
    let lock =
        format!("begin; select pg_advisory_xact_lock(hashtextextended('bg_runtime:{schema}', 0))");
    run(&mut admin, &lock).await;
    let (lab, url) = (Lab::new(), as_role(&server.url(), &role));
    let store = Postgres::url(&url).schema(&schema);
    let store = store.secret_keys([bg_runtime::durable::SecretKey::new(crate::tasks::KEY)]);
    let builder = bg_runtime::Background::builder().state(lab.clone());
    let background = builder.durable(store).build().unwrap();
    let starting = background.clone();
    let started = tokio::spawn(async move { starting.start().await });
    let mut other = connect(&server.url()).await;
    let waits = format!(
        "select now() - query_start > interval '400ms' from pg_stat_activity
         where usename = '{role}' and wait_event_type = 'Lock' and wait_event = 'advisory'"
    );
    let begun = Instant::now();
    loop {
        let waits = sqlx::query_scalar(AssertSqlSafe(waits.clone()));
        if waits.fetch_optional(&mut other).await.unwrap() == Some(true) {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it does not wait"
        );
    }
    run(&mut admin, "rollback").await;
    within("the start", started).await.unwrap().unwrap();
    // Somebody has the table for longer than that: who stores is told, and the worker takes its tasks afterwards.
    let lock = format!("begin; lock table {schema}.river_job");
    run(&mut admin, &lock).await;
    let refused = background
        .enqueue(Note::new("refused"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("canceling statement due to lock timeout"),
        "{refused}"
    );
    run(&mut admin, "rollback").await;
    background.enqueue(Note::new("stored")).await.unwrap();
    eventually("it runs", || lab.timeline.count("stored") == 1).await;
    within("the shutdown", background.shutdown()).await;
    assert_eq!(lab.timeline.names(), ["stored"]);
}

/// P-DURABLE-59
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_names_of_schemas_and_a_pool_of_one_connection_work() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let odd = format!("My \"odd\" Schéma; {:x}", fastrand::u32(..));
    for schema in [odd, unique("two words"), unique("UPPER")] {
        works(Postgres::url(server.url()).schema(schema)).await;
    }
    works(
        Postgres::url(server.url())
            .schema(unique("one"))
            .connections(1),
    )
    .await;
    // A pool of the caller's with one connection, which its transaction has.
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = pool.connect(&server.url()).await.unwrap();
    let background = background(Postgres::like(&pool).schema(unique("like")).connections(1));
    let mut transaction = pool.begin().await.unwrap();
    let stored = background.enqueue_in(&mut transaction, Note::new("in it"));
    let id = within("it is stored", stored).await.unwrap();
    transaction.commit().await.unwrap();
    within("the start", background.start()).await.unwrap();
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    within("the shutdown", background.shutdown()).await;
}

/// Two databases may have the same tables, so that a task would be stored where no worker looks.
///
/// P-DURABLE-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_on_another_database_is_refused_as_a_mistake() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let schema = unique("twin");
    let twin = unique("twin");
    run(
        &mut connect(&server.url()).await,
        &format!("create database {twin}"),
    )
    .await;
    let options: sqlx::postgres::PgConnectOptions = server.url().parse().unwrap();
    let mut elsewhere = PgConnection::connect_with(&options.database(&twin))
        .await
        .unwrap();
    let background = background(Postgres::url(server.url()).schema(schema.clone()));
    background.start().await.unwrap();
    for has_tables in [false, true] {
        if has_tables {
            let steps = Postgres::url(server.url()).schema(schema.clone());
            for step in steps.migration_sql().unwrap() {
                run(&mut elsewhere, &step.sql).await;
            }
        }
        let mut transaction = elsewhere.begin().await.unwrap();
        let refused = background.enqueue_in(&mut transaction, Note::new("astray"));
        let error = within("an answer", refused).await.unwrap_err();
        assert!(
            matches!(error, EnqueueError::NoTransactions { .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("another server or database") && text.contains(&twin),
            "{text}"
        );
        assert_eq!(error.into_response().status(), 500);
        sqlx::query("select 1")
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
    within("the shutdown", background.shutdown()).await;
}

/// P-DURABLE-53
#[cfg(target_os = "linux")]
#[test]
fn a_server_whose_disk_is_full_refuses_tasks_until_there_is_room() {
    use super::own_mounts::{in_own_mounts, mount};

    let name = "hostile::servers::a_server_whose_disk_is_full_refuses_tasks_until_there_is_room";
    in_own_mounts(name, async || {
        // Its log is elsewhere: a server whose log has no room ends, which is the suite of outages.
        let directory = tempfile::tempdir().unwrap();
        mount("size=16m,mode=0777", directory.path());
        let Some(server) = PostgresServer::start() else {
            return;
        };
        let mut admin = connect(&server.url()).await;
        let place = directory.path().join("space");
        std::fs::create_dir(&place).unwrap();
        server.own(&place);
        let space = format!("create tablespace small location '{}'", place.display());
        run(&mut admin, &space).await;
        run(&mut admin, "create database small tablespace small").await;
        let url = server.url().strip_suffix("postgres").unwrap().to_owned() + "small";
        let background = background(Postgres::url(url));
        background.start().await.unwrap();
        background.queue("default").pause().await.unwrap();
        let mut stored = Vec::new();
        let text = || {
            (0..1_000_000)
                .map(|_| fastrand::alphanumeric())
                .collect::<String>()
        };
        let refused = loop {
            match background.enqueue(Note::new(text())).await {
                Ok(id) => stored.push(id),
                Err(refused) => break refused,
            }
        };
        assert!(
            matches!(refused, EnqueueError::NotStored { .. }),
            "{refused:?}"
        );
        let refused = refused.to_string();
        assert!(refused.contains("No space left on device"), "{refused}");
        assert!(
            refused.contains("there is no room on its disk"),
            "{refused}"
        );
        mount("remount,size=256m", directory.path());
        background.queue("default").resume().await.unwrap();
        stored.push(background.enqueue(Note::new("again")).await.unwrap());
        for id in &stored {
            background.stored().get(*id).outcome().await.unwrap();
        }
        background.shutdown().await;
    });
}

/// P-DURABLE-58
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_wait_for_tasks_one_connection_listens_for_them() {
    let Some(server) = PostgresServer::start_with(&["max_connections=20"], &[]) else {
        return;
    };
    let background = background(Postgres::url(server.url()).connections(5).enqueue_only());
    let id = background.enqueue(Note::new("waits")).await.unwrap();
    let task = background.stored().get(id);
    let mut all = futures_util::future::join_all((0..40).map(|_| task.outcome()));
    let waited = tokio::time::timeout(Duration::from_secs(2), &mut all).await;
    assert!(waited.is_err(), "nobody runs it");
    let mut other = connect(&server.url()).await;
    let ours = "select count(*) from pg_stat_activity where application_name like 'bg:%'";
    let ours: i64 = sqlx::query_scalar(ours)
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert!(ours <= 5, "{ours} connections");
    task.cancel().await.unwrap();
    for outcome in within("the ends", all).await {
        outcome.unwrap_err();
    }
}
