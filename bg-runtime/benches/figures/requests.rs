//! CPU per request, by the server's own accounting: over loopback, HTTP/1.1 with keep-alive, on one
//! thread.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use bg_runtime::Background;
use cpu_time::ProcessTime;
use tokio::net::TcpListener;

use crate::apps::{self, Route};
use crate::client;
use crate::table::{Figure, Measured, median};
use crate::work::Who;

const REQUESTS: usize = 8_000;
const ROUNDS: usize = 31;

type Case = (Who, Route);

pub(crate) fn measure() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let costs = runtime.block_on(costs());
    let ratio = |case: Case, baseline: Case| {
        let rounds = costs[&case].iter().zip(&costs[&baseline]);
        Measured::Value(median(rounds.map(|(ours, plain)| ours / plain).collect()))
    };
    let figure = |name, measured, goal| Figure {
        name,
        measured,
        goal,
        unit: "",
    };
    for route in Route::ALL {
        let plain = median(costs[&(Who::Plain, route)].clone());
        println!(
            "  plain axum, {}: {plain:.2} us of CPU per request",
            route.path()
        );
    }
    figure(
        "request with 1 task, under `serve`: CPU, against `tokio::spawn` in the handler",
        ratio((Who::Serve, Route::OneTask), (Who::Plain, Route::OneTask)),
        Some(1.10),
    )
    .print();
    figure(
        "  the same under the layer",
        ratio((Who::Layer, Route::OneTask), (Who::Plain, Route::OneTask)),
        None,
    )
    .print();
    figure(
        "request without tasks, under the layer: CPU, against plain axum",
        ratio((Who::Layer, Route::NoTask), (Who::Plain, Route::NoTask)),
        Some(1.02),
    )
    .print();
    figure(
        "  the same under `serve`",
        ratio((Who::Serve, Route::NoTask), (Who::Plain, Route::NoTask)),
        None,
    )
    .print();
    figure(
        "request with 3 tasks, under `serve`: CPU, against three `tokio::spawn`",
        ratio(
            (Who::Serve, Route::ThreeTasks),
            (Who::Plain, Route::ThreeTasks),
        ),
        Some(1.0),
    )
    .print();
}

/// Microseconds of CPU per request, of each round. The first round warms up.
async fn costs() -> HashMap<Case, Vec<f64>> {
    let servers = start_servers().await;
    let mut costs: HashMap<Case, Vec<f64>> = HashMap::new();
    for round in 0..=ROUNDS {
        for route in Route::ALL {
            for (server, address) in &servers {
                let cost = cost(*address, route).await;
                if round > 0 {
                    costs.entry((*server, route)).or_default().push(cost);
                }
            }
        }
    }
    costs
}

async fn start_servers() -> [(Who, SocketAddr); 3] {
    let background = Background::builder()
        .build()
        .expect("no task needs a state");
    let listen = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (plain, serve, layer) = (listen().await, listen().await, listen().await);
    let address = |listener: &TcpListener| listener.local_addr().expect("an address");
    let servers = [
        (Who::Plain, address(&plain)),
        (Who::Serve, address(&serve)),
        (Who::Layer, address(&layer)),
    ];
    let layered = apps::ours().layer(background.layer());
    tokio::spawn(axum::serve(plain, apps::plain()).into_future());
    tokio::spawn(background.serve(serve, apps::ours()).into_future());
    tokio::spawn(axum::serve(layer, layered).into_future());
    servers
}

async fn cost(address: SocketAddr, route: Route) -> f64 {
    let visits = apps::visits();
    let begun = ProcessTime::now();
    let client = move || client::run_in_a_process(address, route.path(), REQUESTS);
    tokio::task::spawn_blocking(client)
        .await
        .expect("the client");
    // Under the layer the last tasks begin a millisecond later.
    while apps::visits() < visits + route.tasks() * REQUESTS as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed().as_secs_f64() * 1e6 / REQUESTS as f64
}
