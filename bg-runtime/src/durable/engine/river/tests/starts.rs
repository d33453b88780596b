//! Connecting, migrating, and what is said of what cannot work.

use super::*;

on_each_database!(
    five_processes_at_once_migrate_an_empty_database,
    tables_that_are_missing_are_not_made_where_that_is_refused,
    tables_of_a_newer_version_do,
    the_first_task_opens_what_nobody_has_started,
);

/// P-DURABLE-29
async fn five_processes_at_once_migrate_an_empty_database(lab: &Lab) {
    let starts = (0..5).map(|_| {
        let engine = lab.engine();
        tokio::spawn(async move { engine.start().await })
    });
    for started in futures_util::future::join_all(starts).await {
        started.unwrap().unwrap();
    }
    let engine = lab.engine_with(|store| store.migrate(false));
    engine.start().await.unwrap();
    engine.start().await.unwrap();
    store_one(&engine, &task("mail")).await;
}

/// P-DURABLE-29
async fn tables_that_are_missing_are_not_made_where_that_is_refused(lab: &Lab) {
    let engine = lab.engine_with(|store| store.migrate(false));
    let error = engine.start().await;
    assert!(
        matches!(error, Err(StartError::OlderSchema { .. })),
        "{error:?}"
    );
    let error = engine.store([task("mail")].into()).await;
    assert!(matches!(error, Err(StoreError::Refused(_))), "{error:?}");
}

/// P-DURABLE-29
async fn tables_of_a_newer_version_do(lab: &Lab) {
    lab.engine().start().await.unwrap();
    let newer = "insert into {}river_migration (line, version) values ('main', 99)";
    lab.run(newer).await;
    let engine = lab.engine();
    engine.start().await.unwrap();
    store_one(&engine, &task("mail")).await;
}

/// P-DURABLE-29
async fn the_first_task_opens_what_nobody_has_started(lab: &Lab) {
    let engine = lab.engine();
    store_one(&engine, &task("mail")).await;
}

#[cfg(feature = "sqlite")]
mod files {
    use super::*;
    use crate::durable::Sqlite;

    async fn error_of(path: &std::path::Path) -> StartError {
        let engine = Sqlite::file(path).open().engine().clone();
        assert_eq!(engine.describe(), format!("SQLite ({})", path.display()));
        engine.start().await.expect_err("it cannot start")
    }

    #[tokio::test]
    async fn a_directory_that_is_missing_is_named() {
        let error = error_of("/no/such/directory/tasks.db".as_ref()).await;
        assert!(matches!(error, StartError::Unreachable { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("there is no directory /no/such/directory"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_left_alone() {
        let lab = Lab::file();
        let path = lab.path();
        let content = "no database, ".repeat(100);
        std::fs::write(path, &content).unwrap();
        let text = error_of(path).await.to_string();
        assert!(text.contains("not a database"), "{text}");
        assert_eq!(std::fs::read_to_string(path).unwrap(), content);
        lab.clear().await;
    }

    #[tokio::test]
    async fn a_file_that_is_locked_is_given_up_in_time() {
        let lab = Lab::file();
        let path = lab.path();
        lab.engine().start().await.unwrap();
        let url = format!("sqlite://{}", path.display());
        let mut other = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let lock = "pragma locking_mode = exclusive; begin exclusive";
        sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
        let error = timeout(PATIENCE, error_of(path)).await.expect("in time");
        assert!(error.to_string().contains("locked"), "{error}");
        drop(other);
        lab.clear().await;
    }
}

#[cfg(feature = "postgres")]
mod servers {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::durable::Postgres;

    #[tokio::test]
    async fn a_server_that_refuses_is_told_of_at_once_without_its_password() {
        let store = Postgres::url("postgres://ada:s3cret@127.0.0.1:1/tasks");
        assert!(!format!("{store:?}").contains("s3cret"), "{store:?}");
        let engine = store.open().engine().clone();
        assert_eq!(engine.describe(), "PostgreSQL (127.0.0.1:1/tasks)");
        let begun = std::time::Instant::now();
        let error = engine.start().await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert!(matches!(error, StartError::Unreachable { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        let error = engine.store([task("mail")].into()).await;
        assert!(
            matches!(error, Err(StoreError::Unreachable(_))),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_url_that_is_none_is_told_of_without_its_password() {
        let engine = Postgres::url("postgres://ada:s3cret@[/x").open();
        let error = engine.engine().start().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }

    /// P-DURABLE-61
    #[cfg(not(feature = "postgres-tls"))]
    #[tokio::test]
    async fn an_address_that_asks_for_encryption_names_the_feature_for_it() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        for mode in ["require", "verify-ca", "verify-full"] {
            let url = format!("postgres://ada@127.0.0.1:{port}/tasks?sslmode={mode}");
            let error = Postgres::url(url).open().engine().start().await;
            let error = error.unwrap_err().to_string();
            assert!(error.contains("need the feature `postgres-tls`"), "{error}");
        }
    }

    /// What a restart of the server does to the connections.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_whose_connections_are_cut_goes_on() {
        let Some(lab) = Lab::schema() else { return };
        let engine = lab.engine_with(|store| store.lease(Duration::from_secs(3)));
        let mut crew = Crew::start(&engine, &["mail"]);
        let mut events = engine.events().await.unwrap();
        let id = store_one(&engine, &task("mail")).await;
        let taken = crew.take().await;
        let worker = status(&engine, id).await.unwrap().worker.unwrap();
        lab.run(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{worker}'"
        ))
        .await;
        taken.end(Verdict::Completed);
        until(&engine, id, StoredState::Completed).await;
        let heard = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        assert!(
            matches!(heard, StoreEvent::Gap | StoreEvent::Ended(_)),
            "{heard:?}"
        );
        let again = store_one(&engine, &task("mail")).await;
        let taken = crew.take().await;
        assert_eq!((taken.claimed.id, taken.claimed.attempt), (again, 1));
        taken.end(Verdict::Completed);
        let told = timeout(PATIENCE, async {
            while !matches!(events.next().await, Some(StoreEvent::Ended(of)) if of == again) {}
        });
        told.await.expect("it is told of the end");
        assert_eq!(until(&engine, id, StoredState::Completed).await.attempt, 1);
        crew.stop().await;
        lab.clear().await;
    }

    /// A role that owns no table gets no trigger, and works.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_role_that_may_not_create_the_trigger_works_all_the_same() {
        let Some(lab) = Lab::schema() else { return };
        #[allow(irrefutable_let_patterns, reason = "with the feature `postgres` alone")]
        let Lab::Schema { url, schema } = &lab else {
            return;
        };
        lab.engine_with(|store| store.fence(false))
            .start()
            .await
            .unwrap();
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        let role = format!("{schema}_role");
        let sql = format!(
            "create role {role} login; grant usage on schema {schema} to {role};
             grant select, insert, update, delete on all tables in schema {schema} to {role};
             grant usage on all sequences in schema {schema} to {role}"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        let store = Postgres::options(options.username(&role)).schema(schema);
        let engine = store.open().engine().clone();
        engine.start().await.unwrap();
        let mut crew = Crew::start(&engine, &["mail"]);
        let id = store_one(&engine, &task("mail")).await;
        crew.take().await.end(Verdict::Completed);
        until(&engine, id, StoredState::Completed).await;
        crew.stop().await;
        drop(engine);
        let sql = sqlx::AssertSqlSafe(format!("drop owned by {role}; drop role {role}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        lab.clear().await;
    }
}
