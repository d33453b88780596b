//! The SQL of the tables, for whoever wants to run it himself.

use riverqueue::migrate::{MIGRATION_LINE_MAIN, Migration};

use crate::durable::MigrationSql;

/// From this version of River on, a migration is recorded with its line.
const WITH_LINE: i64 = 5;

/// Returns what River's migrator runs, and what it records of that, for each of its versions.
fn rivers(
    migrations: &[Migration],
    table: &str,
    render: impl Fn(&str) -> String,
) -> Vec<MigrationSql> {
    let sql = migrations.iter().map(|migration| {
        let version = migration.version;
        let record = match version {
            ..WITH_LINE => format!("insert into {table} (version) values ({version});"),
            _ => format!(
                "insert into {table} (line, version) values ('{MIGRATION_LINE_MAIN}', {version});"
            ),
        };
        MigrationSql {
            name: format!("river_{version:03}_{}", migration.name),
            sql: format!("{}\n\n{record}\n", render(migration.up_sql).trim_end()),
        }
    });
    sql.collect()
}

#[cfg(feature = "sqlite")]
pub(super) fn sqlite() -> Vec<MigrationSql> {
    let table = "river_migration";
    let mut all = rivers(
        &riverqueue::migrate::SQLITE_MIGRATIONS,
        table,
        str::to_owned,
    );
    all.push(MigrationSql {
        name: "river_bg_1".to_owned(),
        sql: super::sqlite::EXTRAS.trim_start().to_owned() + "\n",
    });
    all
}

/// Without a schema, the tables are made in the first one of the `search_path`.
#[cfg(feature = "postgres")]
pub(super) fn postgres(schema: &riverqueue::database::SchemaName) -> Vec<MigrationSql> {
    // Where River's migrator has the schema.
    const SCHEMA: &str = "/* TEMPLATE: schema */";
    let quoted = schema.quoted_identifier();
    let prefix = quoted
        .as_ref()
        .map_or_else(String::new, |schema| format!("{schema}."));
    let table = schema.qualify("river_migration");
    let render = |sql: &str| sql.replace(SCHEMA, &prefix);
    let mut all = rivers(&riverqueue::migrate::POSTGRES_MIGRATIONS, &table, render);
    if let (Some(first), Some(schema)) = (all.first_mut(), quoted) {
        first.sql = format!("create schema if not exists {schema};\n\n{}", first.sql);
    }
    let (index, trigger) = (
        super::postgres::index(schema),
        super::fence::postgres_trigger(&prefix),
    );
    all.push(MigrationSql {
        name: "river_bg_1".to_owned(),
        sql: format!("{index}\n{trigger}\n"),
    });
    all
}
