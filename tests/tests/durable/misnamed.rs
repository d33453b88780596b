//! Settings of a worker that fit no task of its program.

use bg_runtime::Background;
use bg_runtime::durable::{SecretKey, Store};
use bg_runtime::testing::Memory;
use tests::logs;

use crate::tasks::{KEY, Lab};

/// P-DURABLE-64
#[tokio::test]
async fn a_worker_is_told_which_of_its_names_and_queues_nothing_has() {
    logs::keep();
    let store = Store::from(Memory::new()).secret_keys([SecretKey::new(KEY)]);
    let store = store.only(["tests.note", "tests.nowhere.*"]);
    let store = store.queues(["slow", "nowhere"]);
    let builder = Background::builder().state(Lab::new()).durable(store);
    let background = builder.build().unwrap();
    background.start().await.unwrap();
    for (warned, names) in [
        (
            "names what no durable task of this program is called",
            "tests.number",
        ),
        (
            "names what no durable task of this program declares",
            "declared=\"default, slow\"",
        ),
    ] {
        // Other tests of this process have names of their own.
        let mut lines = logs::lines_with(warned);
        lines.retain(|line| line.contains("nowhere"));
        let [line] = lines.as_slice() else {
            panic!("one warning: {lines:?}")
        };
        assert!(line.contains(" WARN "), "{line}");
        assert!(line.contains(names), "{line}");
    }
    let only = logs::lines_with("only=\"tests.nowhere.*\"");
    assert_eq!(only.len(), 1);
    let queues = logs::lines_with("queues=\"nowhere\"");
    assert_eq!(queues.len(), 1);
    background.shutdown().await;
}
