//! What can be asked of tasks from any process.

use super::Common;
use super::failure::store_error;
use super::list;
use super::scripts::call;
use crate::durable::StoredState;
use crate::durable::error::StoreError;
use crate::durable::query::{Obeyed, Order, Query};
use crate::task::TaskId;

/// How many one step is for.
const STEP: u32 = 200;

pub(super) async fn one(shared: &Common, task: TaskId, order: Order) -> Result<Obeyed, StoreError> {
    // The script finds its queue.
    let (obeyed, _) = give(shared, order, "{}", &[format!(":{task}")]).await?;
    Ok(obeyed.into_iter().next().unwrap_or(Obeyed::Unknown))
}

/// Obeys for every task of the query for which it can, newest first: of those that want one unique value the newest gets
/// it.
pub(super) async fn all(shared: &Common, query: &Query, order: Order) -> Result<u64, StoreError> {
    // Of many at once, those that have completed run again only if they are meant.
    let leaves_completed = order == Order::Retry && query.state != Some(StoredState::Completed);
    let (mut after, mut obeyed) = (None, 0);
    let mut places = "{}".to_owned();
    loop {
        let step = list::step(shared, query, after, STEP, true).await?;
        let meant = step.seen.iter();
        let meant =
            meant.filter(|seen| !(leaves_completed && seen.state == StoredState::Completed));
        let jobs: Vec<_> = meant
            .map(|seen| format!("{}:{}", seen.job.queue, seen.job.id))
            .collect();
        let answers;
        (answers, places) = give(shared, order, &places, &jobs).await?;
        obeyed += answers
            .iter()
            .filter(|answer| matches!(answer, Obeyed::Done | Obeyed::Told))
            .count() as u64;
        match step.next {
            Some(next) => after = Some(next),
            None => return Ok(obeyed),
        }
    }
}

/// An order is not given twice: whether it was obeyed would not be known. `places` is what the one before has returned.
async fn give(
    shared: &Common,
    order: Order,
    places: &str,
    jobs: &[String],
) -> Result<(Vec<Obeyed>, String), StoreError> {
    if jobs.is_empty() {
        return Ok((Vec::new(), places.to_owned()));
    }
    let mut script = call(&shared.prefix, |scripts| &scripts.order);
    script
        .arg(match order {
            Order::Cancel => "cancel",
            Order::Retry => "retry",
            Order::Delete => "delete",
        })
        .arg(places)
        .arg(jobs);
    let answers = shared.link.run(&script).await;
    let (answers, places): (Vec<String>, String) =
        answers.map_err(|error| store_error(error, shared.limit))?;
    let answers = answers.into_iter().map(|answer| match &*answer {
        "done" => Obeyed::Done,
        "told" => Obeyed::Told,
        "late" => Obeyed::TooLate,
        _ => Obeyed::Unknown,
    });
    Ok((answers.collect(), places))
}
