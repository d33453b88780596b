//! What waits is never more than may wait.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use bg_runtime::{Background, FailureKind, Overflow, TaskFailure, background_task};

/// An argument that looks at the counts when it is shown, which is while its task is refused.
#[derive(Clone)]
struct Looks {
    background: Background,
    seen: Arc<Mutex<Vec<u64>>>,
}

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.background.stats().pending;
        self.seen.lock().unwrap().push(pending);
        f.write_str("Looks")
    }
}

#[background_task(name = "pending.refused")]
async fn refused(#[expect(unused_variables, reason = "it is only shown")] looks: Looks) {}

#[tokio::test]
async fn a_refused_task_is_not_even_for_a_moment_among_those_that_wait() {
    let background = Background::builder()
        .max_pending(1, Overflow::Reject)
        .on_error(|_: &TaskFailure| {})
        .build()
        .unwrap();
    let looks = Looks {
        background: background.clone(),
        seen: Arc::default(),
    };
    // The runtime has one thread, which is here: this one waits.
    let first = background.spawn(Refused::new(looks.clone()));
    let failure = background.spawn(Refused::new(looks.clone())).await;
    assert_eq!(failure.unwrap_err().kind(), FailureKind::Rejected);
    assert_eq!(looks.seen.lock().unwrap()[0], 1);
    first.await.unwrap();
}
