//! What the database itself notes of the ends of tasks, whatever the workers say.

use super::{Place, Runs};

/// How many milliseconds the clock of the database may be rounded by.
const ROUNDING: u64 = 2;

/// A change of a row by which its task ended, or after it had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The task's argument `number`.
    pub number: u64,
    /// The state of the row before, in River's words.
    pub before: String,
    /// The state afterwards.
    pub after: String,
    /// The attempt that the row has, as tasks are told it.
    pub attempt: u32,
    /// When it was written, in milliseconds since 1970.
    pub at: u64,
    /// Who had claimed the row.
    pub holder: String,
    /// Whose connection has written it. Triggers of SQLite that every connection has know no connection, and Redis does
    /// not write it down.
    pub writer: Option<String>,
}

/// What keeps a [`Record`] of every end of a task: triggers in a store, or the file into which Redis writes everything.
#[derive(Debug)]
pub struct Audit<'a>(&'a Place);

impl<'a> Audit<'a> {
    /// Begins to audit. The tables have to be there.
    ///
    /// A trigger of the table, and so of all connections. In SQLite it does not see who writes, because what is known
    /// of a connection is in its own temporary schema, which such a trigger cannot look into.
    ///
    /// # Panics
    ///
    /// Panics if the store is in memory.
    #[allow(clippy::unused_async, reason = "with a store in Redis alone")]
    pub async fn begin(place: &'a Place) -> Self {
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        if let Some(sql) = triggers(place) {
            place.execute(&sql).await;
        }
        Self(place)
    }

    /// Returns what was kept so far, in order.
    ///
    /// # Panics
    ///
    /// Panics if the store does not answer.
    pub async fn records(&self) -> Vec<Record> {
        match self.0 {
            #[cfg(feature = "redis")]
            Place::Redis { .. } => super::append_only::records(self.0).await,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => {
                let texts = self.0.texts("select record from {}audit order by id").await;
                texts.iter().map(|text| record(text)).collect()
            }
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Place::Memory(_) => panic!("it has no triggers"),
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn record(text: &str) -> Record {
    let (number, before, after, attempt, at, holder, writer) =
        serde_json::from_str(text).expect("a record");
    Record {
        number,
        before,
        after,
        attempt,
        at,
        holder,
        writer,
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn triggers(place: &Place) -> Option<String> {
    const FINAL: &str = "('completed', 'cancelled', 'discarded')";
    let sql = match place {
        #[cfg(feature = "redis")]
        Place::Redis { .. } => return None,
        Place::Memory(_) => panic!("it has no triggers"),
        #[cfg(feature = "sqlite")]
        Place::Sqlite { .. } => format!(
            "create table audit (id integer primary key, record text not null);
             create trigger audit after update on river_job
             when (old.state in {FINAL} or new.state in {FINAL})
                 and (new.state, new.finalized_at, new.attempt, new.errors)
                     is not (old.state, old.finalized_at, old.attempt, old.errors)
             begin
                 insert into audit (record) values (json_array(
                     json_extract(new.args, '$.number'), old.state, new.state,
                     new.attempt + coalesce(json_extract(new.metadata, '$.snoozes'), 0),
                     strftime('%s', 'now') * 1000 + cast(substr(strftime('%f', 'now'), 4) as integer),
                     coalesce(json_extract(old.attempted_by, '$[#-1]'), ''), null));
             end"
        ),
        #[cfg(feature = "postgres")]
        Place::Postgres { .. } => format!(
            "create table {{}}audit (id bigserial primary key, record text not null);
             create function {{}}audit() returns trigger language plpgsql as $audit$
             begin
                 insert into {{}}audit (record) values (json_build_array(
                     (new.args->>'number')::bigint, old.state, new.state,
                     new.attempt + coalesce((new.metadata->>'snoozes')::bigint, 0),
                     floor(extract(epoch from clock_timestamp()) * 1000)::bigint,
                     coalesce(old.attempted_by[array_upper(old.attempted_by, 1)], ''),
                     current_setting('application_name'))::text);
                 return null;
             end $audit$;
             create trigger audit after update on {{}}river_job for each row
             when ((old.state in {FINAL} or new.state in {FINAL})
                 and (new.state, new.finalized_at, new.attempt, new.errors)
                     is distinct from (old.state, old.finalized_at, old.attempt, old.errors))
             execute function {{}}audit()"
        ),
    };
    Some(sql)
}

impl Record {
    /// Returns what is wrong with the ends of tasks, none of which was asked to run again, if these are all of them and
    /// these runs have ended: two ends of one task, and a success of a run that had not ended by then, or that another
    /// worker than its own has written.
    pub fn faults(records: &[Self], runs: &Runs) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for record in records {
            let Self {
                number, attempt, ..
            } = record;
            if !seen.insert(number) {
                faults.push(format!("it ended before: {record:?}"));
            }
            if record.after != "completed" {
                continue;
            }
            let ended = runs.get(number).and_then(|attempts| attempts.get(attempt));
            if ended.is_none_or(|ended| *ended > record.at + ROUNDING) {
                faults.push(format!("its run had not ended, but {ended:?}: {record:?}"));
            }
            let writer = record.writer.as_ref();
            if writer.is_some_and(|writer| *writer != record.holder) {
                faults.push(format!("somebody else's run: {record:?}"));
            }
        }
        faults
    }
}
