//! Many connections with many requests: every task exactly once.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::extract::State;
use axum::response::IntoResponse;
use bg_runtime::{BackgroundTasks, BoxTask, get, named, routes};
use futures_util::future::join_all;
use tests::{
    Client, Http2, Protocol, Server, Setup, Timeline, on_every_setup,
    tasks::{is_balanced, settled},
};

const CONNECTIONS: usize = 100;
const REQUESTS: usize = 50;
const ALL: usize = CONNECTIONS * REQUESTS;

/// How often each of the three tasks of each request ran.
#[derive(Clone)]
struct Runs(Arc<Vec<[AtomicU32; 3]>>);

impl Runs {
    fn new() -> Self {
        Self(Arc::new((0..ALL).map(|_| Default::default()).collect()))
    }

    fn task(&self, request: usize, source: usize) -> BoxTask {
        let runs = self.clone();
        named("count", async move {
            if source == 1 {
                tokio::task::yield_now().await;
            }
            runs.0[request][source].fetch_add(1, Ordering::Relaxed);
        })
    }

    fn assert_each_ran_once(&self, setup: Setup) {
        for (request, counts) in self.0.iter().enumerate() {
            let counts = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            assert_eq!(counts, [1, 1, 1], "request {request} {setup:?}");
        }
    }
}

#[get("/{request}", background = runs.task(request, 0))]
async fn count(
    request: usize,
    State(runs): State<Runs>,
    tasks: BackgroundTasks,
) -> impl IntoResponse {
    tasks.add_task(runs.task(request, 1));
    (runs.task(request, 2), request.to_string())
}

async fn serve(setup: Setup, runs: &Runs) -> Server {
    let app = routes![count].with_state(runs.clone());
    Server::start(setup, &Timeline::new(), move || {
        let background = bg_runtime::Background::builder().build().unwrap();
        (background, app)
    })
    .await
}

async fn each_task_runs_once(protocol: Protocol) {
    on_every_setup(async |setup| {
        let runs = Runs::new();
        let server = serve(setup, &runs).await;
        let clients = (0..CONNECTIONS).map(|connection| {
            let address = server.address();
            tokio::spawn(async move {
                let mut client = Client::connect(protocol, address).await;
                for request in 0..REQUESTS {
                    let request = (connection * REQUESTS + request).to_string();
                    let response = client.fetch("GET", &format!("/{request}")).await;
                    assert_eq!((response.status, response.body), (200, request.into()));
                }
            })
        });
        let clients = tokio::spawn(join_all(clients));
        while !clients.is_finished() {
            let stats = server.background().stats();
            assert!(is_balanced(&stats), "{stats:?}");
            tokio::task::yield_now().await;
        }
        clients.await.unwrap().into_iter().for_each(Result::unwrap);

        let tasks = 3 * ALL as u64;
        assert_eq!(settled(server.background(), tasks).await.completed, tasks);
        runs.assert_each_ran_once(setup);
        let report = server.stop().await;
        assert_eq!(report.stats().completed, tasks);
        assert!(report.unfinished().is_empty());
    })
    .await;
}

/// P-SOURCES-1, P-STATS-2
#[tokio::test]
async fn every_task_runs_exactly_once_http1() {
    each_task_runs_once(Protocol::Http1).await;
}

/// P-SOURCES-1, P-STATS-2
#[tokio::test]
async fn every_task_runs_exactly_once_http2() {
    each_task_runs_once(Protocol::Http2).await;
}

/// P-STATS-2
#[tokio::test]
async fn every_task_of_concurrent_streams_runs_exactly_once() {
    on_every_setup(async |setup| {
        let runs = Runs::new();
        let server = serve(setup, &runs).await;
        let clients = (0..CONNECTIONS / 2).map(|connection| {
            let address = server.address();
            async move {
                let mut client = Http2::connect(address).await;
                let requests = (0..2 * REQUESTS).map(|request| {
                    let path = format!("/{}", connection * 2 * REQUESTS + request);
                    let (_, response) = client.start("GET", &path);
                    async {
                        let body = response.await.unwrap().into_body();
                        http_body_util::BodyExt::collect(body).await.unwrap();
                    }
                });
                let requests: Vec<_> = requests.collect();
                join_all(requests).await;
            }
        });
        join_all(clients).await;
        let tasks = 3 * ALL as u64;
        assert_eq!(settled(server.background(), tasks).await.completed, tasks);
        runs.assert_each_ran_once(setup);
    })
    .await;
}
