//! The tasks of these tests, and what they note.

use std::sync::Arc;
use std::time::Duration;

use bg_runtime::durable::{EnqueueError, SecretKey};
use bg_runtime::{Background, BackgroundBuilder, TaskContext, background_task, named};
use tests::Timeline;
use tests::durable::Place;
use tokio::sync::Semaphore;

/// What the tasks of one `Background` share.
#[derive(Clone)]
pub(crate) struct Lab {
    pub(crate) timeline: Timeline,
    /// Held tasks end with these.
    pub(crate) gate: Arc<Semaphore>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            timeline: Timeline::new(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    pub(crate) fn builder(&self, place: &Place) -> BackgroundBuilder {
        let store = place.store().secret_keys([SecretKey::new(KEY)]);
        let builder = Background::builder().state(self.clone()).durable(store);
        builder.drain_timeout(Duration::from_secs(20))
    }

    /// Returns a `Background` on the store of this place.
    pub(crate) fn background(&self, place: &Place) -> Background {
        self.builder(place).build().expect("nothing to refuse")
    }
}

/// Marks its text; fails with it if that begins with `fail`.
#[background_task(durable, name = "tests.note", retries = 1, backoff = "20ms")]
pub(crate) async fn note(text: String, #[state] lab: Lab) -> Result<(), String> {
    lab.timeline.mark(text.clone());
    match text.starts_with("fail") {
        true => Err(text),
        false => Ok(()),
    }
}

/// Marks its text, and again with an `!` when the gate has let it through.
#[background_task(durable, name = "tests.hold", retries = 0)]
pub(crate) async fn hold(text: String, #[state] lab: Lab, #[context] cx: TaskContext) {
    lab.timeline.mark(format!("{text} {}", cx.attempt()));
    tokio::select! {
        permit = lab.gate.acquire() => {
            permit.unwrap().forget();
            lab.timeline.mark(format!("{text}!"));
        }
        () = cx.cancelled() => {
            lab.timeline.mark(format!("{text} cancelled"));
        }
    }
}

/// Marks its number, and waits for the gate.
#[background_task(durable, name = "tests.number", retries = 0)]
pub(crate) async fn number(number: u64, #[state] lab: Lab) {
    lab.timeline.mark(format!("number {number}"));
    lab.gate.acquire().await.unwrap().forget();
}

/// Reports how far it has come, and waits for the gate after each step.
#[background_task(durable, name = "tests.count")]
pub(crate) async fn count(to: u64, #[state] lab: Lab, #[context] cx: TaskContext) {
    for step in 1..=to {
        cx.progress(step, to, "counting");
        lab.gate.acquire().await.unwrap().forget();
    }
}

/// Blocks its thread until it is told to stop.
#[background_task(durable, name = "tests.block", queue = "slow")]
pub(crate) fn block(#[state] lab: &Lab, #[context] cx: &TaskContext) {
    lab.timeline.mark("blocks");
    while !cx.is_cancelled() {
        std::thread::yield_now();
    }
    lab.timeline.mark("unblocked");
}

/// At most two of a user are unfinished.
#[background_task(durable, name = "tests.export", key = user, max_unfinished_per_key = 2)]
pub(crate) async fn export(user: String, #[state] lab: Lab) {
    lab.timeline.mark(format!("export {user}"));
}

/// What a sealed argument comes back as.
#[background_task(durable, name = "tests.secret", retries = 0)]
pub(crate) async fn secret(#[secret] code: String, #[state] lab: Lab) {
    lab.timeline.mark(format!("code {code}"));
}

/// Marks what travels along with it.
#[background_task(durable, name = "tests.unpack", retries = 0)]
pub(crate) async fn unpack(#[state] lab: Lab, #[context] cx: TaskContext) {
    for (name, value) in cx.baggage() {
        lab.timeline.mark(format!("{name} {value}"));
    }
}

/// Stores a note, which follows it.
#[background_task(durable, name = "tests.precede", retries = 0)]
pub(crate) async fn precede(text: String, #[context] cx: TaskContext) -> Result<(), EnqueueError> {
    cx.enqueue(Note::new(text)).await?;
    Ok(())
}

/// Tries to store what cannot be stored.
#[background_task(durable, name = "tests.precede_nothing", retries = 0)]
pub(crate) async fn precede_nothing(#[context] cx: TaskContext) -> Result<(), EnqueueError> {
    cx.enqueue(named("tests.in_process", async {})).await?;
    Ok(())
}

/// With which secrets are stored.
pub(crate) const KEY: [u8; 32] = [7; 32];
