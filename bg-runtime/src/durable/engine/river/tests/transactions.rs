//! Storing in the caller's transactions.

use super::*;

on_each_database!(
    what_is_stored_in_a_transaction_is_there_after_its_commit,
    a_task_that_is_refused_leaves_the_transaction_as_it_was,
);

/// Stores in a transaction of a connection that knows nothing of the engine.
async fn in_transaction(
    lab: &Lab,
    engine: &Arc<dyn Engine>,
    batches: &[&[Stored]],
    commit: bool,
) -> Vec<Result<Vec<Kept>, StoreError>> {
    let mut results = Vec::new();
    match lab {
        #[cfg(feature = "sqlite")]
        Lab::File(path) => {
            let url = format!("sqlite://{}", path.display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            let mut transaction = connection.begin().await.unwrap();
            for batch in batches {
                let of = StoreTransaction::of(&mut transaction);
                results.push(engine.store_in(of, (*batch).into()).await);
            }
            match commit {
                true => transaction.commit().await.unwrap(),
                false => transaction.rollback().await.unwrap(),
            }
        }
        #[cfg(feature = "postgres")]
        Lab::Schema { url, .. } => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            let mut transaction = connection.begin().await.unwrap();
            let sql = "set local search_path = pg_catalog";
            sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap();
            for batch in batches {
                let of = StoreTransaction::of(&mut transaction);
                results.push(engine.store_in(of, (*batch).into()).await);
            }
            match commit {
                true => transaction.commit().await.unwrap(),
                false => transaction.rollback().await.unwrap(),
            }
        }
        #[cfg(feature = "redis")]
        Lab::Keys { .. } => panic!("it has no transactions"),
    }
    results
}

/// P-DURABLE-15
async fn what_is_stored_in_a_transaction_is_there_after_its_commit(lab: &Lab) {
    let engine = lab.engine();
    engine.start().await.unwrap();
    let mut crew = Crew::start(&engine, &["mail"]);
    let gone = [task("mail"), task("mail")];
    let kept = in_transaction(lab, &engine, &[&gone], false).await;
    assert_eq!(kept[0].as_ref().unwrap(), &[Kept::Stored, Kept::Stored]);
    let there = [task("mail")];
    let kept = in_transaction(lab, &engine, &[&there], true).await;
    assert_eq!(kept[0].as_ref().unwrap(), &[Kept::Stored]);
    assert_eq!(crew.take().await.end(Verdict::Completed).id, there[0].id);
    for task in gone {
        assert!(status(&engine, task.id).await.is_none());
    }
    crew.stop().await;
}

/// P-DURABLE-15
async fn a_task_that_is_refused_leaves_the_transaction_as_it_was(lab: &Lab) {
    let engine = lab.engine();
    engine.start().await.unwrap();
    let good = [task("mail")];
    let refused = Stored {
        arguments: json(r#"{"a":"\ud800"}"#),
        queue: "no such\0queue".into(),
        ..task("mail")
    };
    let bad = [task("mail"), refused];
    let kept = in_transaction(lab, &engine, &[&good, &bad, &[]], true).await;
    assert!(
        kept[0].is_ok() && kept[1].is_err() && kept[2].is_ok(),
        "{kept:?}"
    );
    assert!(status(&engine, good[0].id).await.is_some());
    assert!(status(&engine, bad[0].id).await.is_none());
}

/// A transaction on another file would store tasks that no worker sees.
/// P-DURABLE-15
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_transaction_on_another_file_is_refused() {
    let (lab, other) = (Lab::file(), Lab::file());
    let (engine, elsewhere) = (lab.engine(), other.engine());
    engine.start().await.unwrap();
    elsewhere.start().await.unwrap();
    let kept = in_transaction(&other, &engine, &[&[task("mail")]], true).await;
    let Err(StoreError::NoTransactions { why, .. }) = &kept[0] else {
        panic!("{kept:?}")
    };
    assert!(why.contains("another file"), "{why}");
    lab.clear().await;
    other.clear().await;
}
