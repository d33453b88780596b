//! Durable tasks of every form, in a crate whose tasks have names that generated code might have as well.

#![deny(warnings)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bg_runtime::{DurableDef, Task, TaskContext, TaskDef, TaskExt, TaskResult, background_task};

mod renamed {
    pub use bg_runtime as tasks;
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    id: u64,
}

// `Order` is not `Clone`, and need not be: each run reads it anew.
#[background_task(
    durable,
    name = "orders.ship",
    was = ["orders.send", "ship"],
    queue = "slow",
    unique = [r#type],
    retries = 0,
    key = r#type,
    per_process(rate = "10/s", max_concurrent = 4, max_per_key = 1)
)]
async fn ship(
    order: &Order,
    #[was("kind")] r#type: u8,
    put: Arc<str>,
    take: &Path,
    #[default = "x"] __put: &str,
    #[secret] code: [u8; 4],
    #[secret(stored_in_clear)] hint: String,
    #[state] _pool: u8,
    #[context] _cx: TaskContext,
) {
    drop((order.id, r#type, put, take, __put, code, hint));
}

#[background_task(durable, name = "nothing.at_all", backoff = "1s", unique)]
fn nothing() {}

#[background_task(durable, name = "by.user", key = user, max_unfinished_per_key = 2, on_full = ignore)]
async fn by_user(user: u64, tags: BTreeMap<String, Option<f64>>) {
    drop((user, tags));
}

#[background_task(durable, name = "renamed.runtime", crate = crate::renamed::tasks)]
async fn renamed_runtime(n: u8) {
    let _ = n;
}

macro_rules! task {
    ($name:ident, $text:literal, $argument:ident: $ty:ty) => {
        #[background_task(durable, name = $text)]
        async fn $name($argument: $ty) {
            drop($argument);
        }
    };
}

task!(of_a_macro, "of.a.macro", all: Vec<String>);

#[derive(serde::Serialize, serde::Deserialize)]
struct ByHand;

impl Task for ByHand {
    const DEF: &'static TaskDef = &TaskDef::new("by.hand").durable(
        DurableDef::serde::<Self>()
            .in_queue("slow")
            .unique()
            .formerly(&["hand"]),
    );

    async fn run(self, _: TaskContext) -> TaskResult {
        Ok(())
    }
}

bg_runtime::register!(ByHand);

fn main() {
    let now = std::time::SystemTime::now();
    let order = Order { id: 1 };
    let ship = Ship::new(order, 2, "put", "take", [0; 4], "hint").__put("y");
    let _ = ship.at(now).unique().queue_priority(2).queue("fast");
    let _ = Nothing
        .unique_for(std::time::Duration::from_secs(1))
        .in_process();
    let _ = ByUser::new(1, BTreeMap::new()).queue(String::from("other"));
    let _ = (RenamedRuntime::new(1), OfAMacro::new(Vec::new()), ByHand);
}
