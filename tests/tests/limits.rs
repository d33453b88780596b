//! How many tasks run at once, and how many may wait: who waits, in which order, and who is turned
//! away.

use std::{
    collections::HashMap,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing,
};
use bg_runtime::{
    Backoff, Background, BackgroundBuilder, BackgroundTasks, FailureKind, Overflow, SkipReason, Task,
    TaskContext, TaskDef, TaskExt, TaskFailure, TaskResult, named, post, routes, tasks,
};
use futures_util::future::join_all;
use tests::{
    Client, Diary, Http1, Protocol, Server, Setup, Timeline, eventually, on_every_setup,
    tasks::{Failures, is_balanced, respond_with, settled, skip_reason},
};
use tower_http::timeout::TimeoutLayer;

const SECOND: Duration = Duration::from_secs(1);

/// A `Background` with these settings, whose failures are kept.
fn background(
    settings: impl FnOnce(BackgroundBuilder) -> BackgroundBuilder,
) -> (Background, Failures) {
    let failures = Failures::default();
    let hook = failures.hook(&Timeline::new());
    let background = settings(Background::builder().on_error(hook)).build();
    (background.expect("nothing to refuse"), failures)
}

/// How many are inside at once, of each key.
#[derive(Debug, Clone, Default)]
struct Crowd(Arc<Mutex<HashMap<u64, (usize, usize)>>>);

impl Crowd {
    fn enter(&self, key: u64) -> Inside {
        let (now, most) = &mut *self.0.lock().unwrap().entry(key).or_default() else {
            unreachable!()
        };
        *now += 1;
        *most = (*most).max(*now);
        Inside(self.clone(), key)
    }

    fn most(&self, key: u64) -> usize {
        self.0.lock().unwrap()[&key].1
    }
}

struct Inside(Crowd, u64);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().get_mut(&self.1).unwrap().0 -= 1;
    }
}

/// A task whose key is a number, which takes a second.
#[derive(Debug, Clone)]
struct Keyed {
    diary: Diary,
    crowd: Crowd,
    key: u64,
}

impl Keyed {
    fn new(diary: &Diary, crowd: &Crowd, key: u64) -> Self {
        Self {
            diary: diary.clone(),
            crowd: crowd.clone(),
            key,
        }
    }

    async fn work(self) -> TaskResult {
        let _inside = self.crowd.enter(self.key);
        self.diary.note(format!("key {}", self.key));
        tokio::time::sleep(SECOND).await;
        Ok(())
    }
}
