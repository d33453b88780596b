//! What is global after the global `Background` was shut down.
//!
//! A program of its own: there is one such `Background` in each.

use bg_runtime::{Background, named};

/// P-GLOBAL-5
#[tokio::test]
async fn after_the_shutdown_of_the_global_background_there_is_a_new_one() {
    for _ in 0..3 {
        let global = Background::global();
        global.spawn(named("task", async {})).await.unwrap();
        assert_eq!(global.shutdown().await.stats().completed, 1);
    }

    let installed = Background::builder().build().unwrap();
    installed.install_global().unwrap();
    let other = Background::builder().build().unwrap();
    other.install_global().unwrap_err();
    // Shutting down another one changes nothing.
    other.shutdown().await;
    let error = other.install_global().unwrap_err();
    assert!(error.to_string().contains("shut down"), "{error}");
    let task = Background::global().spawn(named("task", async {}));
    task.await.unwrap();
    assert_eq!(installed.stats().completed, 1);

    installed.shutdown().await;
    let next = Background::builder().build().unwrap();
    next.install_global().unwrap();
    let task = Background::global().spawn(named("task", async {}));
    task.await.unwrap();
    assert_eq!(
        (installed.stats().completed, next.stats().completed),
        (1, 1)
    );
}
