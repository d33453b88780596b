//! Rows that a worker cannot run: of a name or with arguments that it does not know, and with what is no JSON at all.

use bg_runtime::durable::SecretKey;
use bg_runtime::{Background, FailureKind};
use tests::durable::Place;
use tests::tasks::Failures;
use tests::{Timeline, eventually, on_each_store, within};

use crate::tasks::{Lab, Note, Secret};

fn keyed(lab: &Lab, place: &Place, keys: &[u8], failures: &Failures) -> Background {
    let keys = keys.iter().map(|key| SecretKey::new([*key; 32]));
    let builder = Background::builder().state(lab.clone());
    let builder = builder.on_error(failures.hook(&Timeline::new()));
    builder
        .durable(place.store().secret_keys(keys))
        .build()
        .unwrap()
}

on_each_store! {
    /// P-DURABLE-54
    #[test]
    async fn a_secret_that_no_key_of_a_worker_opens_waits_for_one_that_does(place: &Place) {
        let (lab, failures) = (Lab::new(), Failures::default());
        let creator = keyed(&lab, place, &[1], &failures);
        let id = creator.enqueue(Secret::new("4711")).await.unwrap();
        let stranger = keyed(&lab, place, &[2], &failures);
        stranger.start().await.unwrap();
        eventually("a report", || failures.of("tests.secret").is_some()).await;
        let failure = failures.of("tests.secret").unwrap();
        assert_eq!(failure.kind(), FailureKind::Undecodable);
        let text = failure.to_string();
        assert!(text.contains("`code`") && text.contains("secret_keys"), "{text}");
        assert!(text.contains("tests/tests/durable/tasks.rs:"), "{text}");
        assert!(!text.contains("4711"), "{text}");
        // It runs other tasks meanwhile, and has used up no run of this one.
        let other = stranger.enqueue(Note::new("other")).await.unwrap();
        within("the end", stranger.stored().get(other).outcome()).await.unwrap();
        stranger.shutdown().await;
        let status = creator.stored().get(id).status().await.unwrap().unwrap();
        assert!(!status.state.is_final(), "{status:?}");
        let [unreadable] = &*status.errors else {
            panic!("it does not say why it waits: {status:?}");
        };
        assert_eq!(unreadable.kind, FailureKind::Undecodable);
        assert!(!format!("{status:?}").contains("4711"), "{status:?}");
        if matches!(place, Place::Memory(_)) {
            // Its time is not to be turned.
            return;
        }
        let knower = keyed(&lab, place, &[3, 1], &failures);
        knower.start().await.unwrap();
        // What went back to the store for a minute is due now.
        place.let_time_pass().await;
        within("the end", knower.stored().get(id).outcome()).await.unwrap();
        knower.shutdown().await;
        assert_eq!(lab.timeline.count("code 4711"), 1);
    }
}

/// Runs SQL as somebody who knows nothing of the store. `{}` is the schema, with its dot.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn run(place: &Place, sql: &str) -> u64 {
    use bg_runtime::sqlx::{self, AssertSqlSafe, Connection};

    match place {
        Place::Memory(_) => panic!("it knows no SQL"),
        #[cfg(feature = "redis")]
        Place::Redis { .. } => panic!("it knows no SQL"),
        #[cfg(feature = "sqlite")]
        Place::Sqlite { file, .. } => {
            let url = format!("sqlite://{}", file.display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            let sql = sqlx::raw_sql(AssertSqlSafe(sql.replace("{}", "")));
            sql.execute(&mut connection).await.unwrap().rows_affected()
        }
        #[cfg(feature = "postgres")]
        Place::Postgres { url, schema } => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            let sql = sqlx::raw_sql(AssertSqlSafe(sql.replace("{}", &format!("{schema}."))));
            sql.execute(&mut connection).await.unwrap().rows_affected()
        }
    }
}

/// What no program of this library stores: no object, no text, metadata of nobody, a name that is gone, and what an
/// older version called its parameter.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const POISON: &str = r#"insert into {}river_job (args, kind, max_attempts, metadata, priority, queue, state) values
    ('[]', 'tests.note', 3, '{"bg": null}', 1, 'default', 'available'),
    ('7', 'tests.note', 3, '{"bg": 7}', 1, 'default', 'available'),
    ('{"text": null}', 'tests.note', 3, '{"bg": {"id": "x"}}', 1, 'default', 'available'),
    ('{"text": "of nobody"}', 'tests.gone', 3, '{"bg": {"id": "y"}}', 1, 'default', 'available'),
    ('{"words": "older"}', 'tests.note', 3, '{"other": true}', 1, 'default', 'available')"#;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn poisoned(place: &Place) {
    tests::logs::keep();
    let (lab, failures) = (Lab::new(), Failures::default());
    let background = keyed(&lab, place, &[1], &failures);
    background.start().await.unwrap();
    background.shutdown().await;
    drop(background);
    let rows = run(place, POISON).await;
    assert_eq!(rows, 5);
    let background = keyed(&lab, place, &[1], &failures);
    background.start().await.unwrap();
    eventually("a report of each", || {
        let reported = failures.all();
        reported
            .iter()
            .filter(|failure| failure.kind() == FailureKind::Undecodable)
            .count()
            == 4
    })
    .await;
    let older = failures
        .all()
        .iter()
        .map(ToString::to_string)
        .find(|text| text.contains("missing"));
    let older = older.unwrap_or_else(|| panic!("{:?}", failures.all()));
    assert!(
        older.contains("`text`") && older.contains("tests.note (tests/tests/durable/tasks.rs:"),
        "{older}"
    );
    let id = background.enqueue(Note::new("good")).await.unwrap();
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    // They are all there, and have used up no run.
    let kept = "update {}river_job set priority = priority
        where state in ('available', 'scheduled', 'running') and errors is null";
    assert_eq!(run(place, kept).await, rows);
    eventually("a warning of the name", || {
        let lines = tests::logs::lines_with("stored tasks wait for a worker that knows them");
        lines.iter().any(|line| line.contains("tests.gone (1)"))
    })
    .await;
    within("the shutdown", background.shutdown()).await;
    assert_eq!(lab.timeline.names(), ["good"]);
}

/// P-DURABLE-55
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_file_that_nobody_understands_harm_no_other() {
    poisoned(&Place::sqlite()).await;
}

/// P-DURABLE-55
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_server_that_nobody_understands_harm_no_other() {
    if let Some(place) = Place::postgres() {
        poisoned(&place).await;
    }
}

/// One such row would keep all others from being read.
/// P-DURABLE-55
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json_cannot_be_written_into_a_file() {
    use bg_runtime::sqlx::{self, AssertSqlSafe, Connection};

    let place = Place::sqlite();
    let background = keyed(&Lab::new(), &place, &[1], &Failures::default());
    background.start().await.unwrap();
    let Place::Sqlite { file, .. } = &place else {
        unreachable!("it is one");
    };
    let url = format!("sqlite://{}", file.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for (args, metadata) in [
        ("'no json'", "'[]'"),
        ("x'ffff'", "'[]'"),
        ("'[]'", "'no json'"),
    ] {
        let sql = format!(
            "insert into river_job (args, kind, max_attempts, metadata, state)
             values ({args}, 'tests.note', 3, {metadata}, 'available')"
        );
        let written = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        let error = written.expect_err("it is refused").to_string();
        assert!(error.contains("malformed JSON"), "{error}");
    }
    let id = background.enqueue(Note::new("good")).await.unwrap();
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    within("the shutdown", background.shutdown()).await;
}
