//! Workers while their leader is dead.

use super::*;

on_each_database!(what_is_due_begins_though_the_leader_has_died);

/// P-DURABLE-65
async fn what_is_due_begins_though_the_leader_has_died(lab: &Lab) {
    let engine = lab.engine();
    engine.start().await.unwrap();
    let now = lab.sql("datetime('now', 'subsec')", "now()");
    let later = lab.sql(
        "datetime('now', 'subsec', '+1 hour')",
        "now() + interval '1 hour'",
    );
    lab.run(&format!(
        "insert into {{}}river_leader (leader_id, elected_at, expires_at) values ('killed', {now}, {later})"
    ))
    .await;
    let mut crew = Crew::start(&engine, &["mail"]);
    let stored = Stored {
        due: Some(SystemTime::now() + Duration::from_millis(300)),
        runs: 2,
        ..task("mail")
    };
    store_one(&engine, &stored).await;
    let wait = Some(Duration::from_millis(300));
    crew.take().await.end(failed("not this time", wait));
    crew.take().await.end(Verdict::Completed);
    until(&engine, stored.id, StoredState::Completed).await;
    assert_eq!(lab.leader().await.as_deref(), Some("killed"));
    crew.stop().await;
}
