//! SQL on the store of a test, from somebody who knows nothing of the library.

use bg_runtime::sqlx::{self, AssertSqlSafe, Connection as _};

use super::Place;

impl Place {
    /// Runs statements. `{}` is the schema, with its dot, where there is one, and `{now}` the time.
    ///
    /// # Panics
    ///
    /// Panics if they cannot be run.
    pub async fn execute(&self, sql: &str) {
        match self {
            Self::Memory(_) => panic!("it has no SQL"),
            #[cfg(feature = "redis")]
            Self::Redis { .. } => panic!("it has no SQL"),
            #[cfg(feature = "sqlite")]
            Self::Sqlite { file, .. } => {
                let url = format!("sqlite://{}", file.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a file");
                let sql = AssertSqlSafe(self.spell(sql));
                let ran = sqlx::raw_sql(sql).execute(&mut connection).await;
                ran.expect("the statements run");
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { url, .. } => {
                let mut connection = sqlx::PgConnection::connect(url).await.expect("a server");
                let sql = AssertSqlSafe(self.spell(sql));
                let ran = sqlx::raw_sql(sql).execute(&mut connection).await;
                ran.expect("the statements run");
            }
        }
    }

    /// Returns what a query finds, each row as one text. `{}` as in [`execute`](Self::execute).
    ///
    /// # Panics
    ///
    /// Panics if it cannot be asked.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let found = match self {
            Self::Memory(_) => panic!("it has no SQL"),
            #[cfg(feature = "redis")]
            Self::Redis { .. } => panic!("it has no SQL"),
            #[cfg(feature = "sqlite")]
            Self::Sqlite { file, .. } => {
                let url = format!("sqlite://{}", file.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a file");
                let sql = AssertSqlSafe(self.spell(sql));
                sqlx::query_scalar(sql).fetch_all(&mut connection).await
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { url, .. } => {
                let mut connection = sqlx::PgConnection::connect(url).await.expect("a server");
                let sql = AssertSqlSafe(self.spell(sql));
                sqlx::query_scalar(sql).fetch_all(&mut connection).await
            }
        };
        found.expect("an answer")
    }

    /// Writes a statement in the words of this database.
    fn spell(&self, sql: &str) -> String {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres { schema, .. } => {
                let sql = sql.replace("{}", &format!("{schema}."));
                sql.replace("{now}", "now()")
            }
            _ => {
                let sql = sql.replace("{}", "");
                sql.replace("{now}", "strftime('%Y-%m-%d %H:%M:%f', 'now')")
            }
        }
    }
}
