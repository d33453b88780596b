//! The SQL of the tables, run by somebody else.

use bg_runtime::durable::{MigrationSql, Store};
use bg_runtime::sqlx::{self, AssertSqlSafe, Connection};

use super::works;

/// The steps, which have a name each that sorts them.
fn steps(store: &Store) -> Vec<MigrationSql> {
    let steps = store.migration_sql().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step.name.clone()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.len(), 9, "{names:?}");
    assert_eq!(names[5], "river_006_bulk_unique");
    steps
}

/// P-DURABLE-62
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sql_of_a_file_makes_all_that_a_worker_needs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tasks.db");
    let store = || bg_runtime::durable::Sqlite::file(&file).migrate(false);
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for step in steps(&store()) {
        let mut transaction = connection.begin().await.unwrap();
        let sql = sqlx::raw_sql(AssertSqlSafe(step.sql));
        sql.execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    works(store()).await;
    // And who may migrate finds nothing left to do.
    let schema = "select group_concat(sql) from (select sql from sqlite_master order by name)";
    let before: String = sqlx::query_scalar(schema)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    works(store().migrate(true)).await;
    let after: String = sqlx::query_scalar(schema)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(before, after);
}

/// P-DURABLE-62
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sql_of_a_server_makes_all_that_a_worker_needs() {
    tests::logs::keep();
    let Some(server) = tests::durable::PostgresServer::shared() else {
        return;
    };
    let mut connection = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    for schema in [
        None,
        Some(format!("Made \"by hand\" {:x}", fastrand::u32(..))),
    ] {
        // Where there is no schema to name, a database of its own has the tables in the first of its path.
        let database = format!("made_{:x}", fastrand::u64(..));
        let sql = AssertSqlSafe(format!("create database {database}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        let url = server.url().strip_suffix("postgres").unwrap().to_owned() + &database;
        let store = || {
            let store = bg_runtime::durable::Postgres::url(&url).migrate(false);
            match &schema {
                Some(schema) => store.schema(schema),
                None => store,
            }
        };
        let mut theirs = sqlx::PgConnection::connect(&url).await.unwrap();
        for step in steps(&store()) {
            let mut transaction = theirs.begin().await.unwrap();
            let sql = sqlx::raw_sql(AssertSqlSafe(step.sql));
            sql.execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
        works(store()).await;
        let port = format!("{}/{database})", server.port());
        let told = tests::logs::lines_with(&port);
        assert!(told.is_empty(), "nothing is missing: {told:?}");
    }
}

/// P-DURABLE-62
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_tells_the_log_of_nothing() {
    tests::logs::keep();
    let Some(server) = tests::durable::PostgresServer::shared() else {
        return;
    };
    let schema = format!("quiet_{:x}", fastrand::u64(..));
    works(bg_runtime::durable::Postgres::url(server.url()).schema(&schema)).await;
    let told = tests::logs::lines_with(&schema);
    assert!(told.is_empty(), "{told:?}");
}
