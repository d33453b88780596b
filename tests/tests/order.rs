//! Tasks of three sources (the route, the handler, the response) run in that order, one after the
//! other, and each source is a list of its own: a failure ends its list, and no other.

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing};
use bg_runtime::{BackgroundTasks, BoxTask, TaskFailure, TaskInfo, get, named, routes, tasks};
use tests::{Client, Protocol, Server, Setup, Timeline, on_every_setup, tasks::settled};

async fn fetch(server: &Server, path: &str) {
    for protocol in Protocol::ALL {
        let mut client = Client::connect(protocol, server.address()).await;
        assert_eq!(client.fetch("GET", path).await.status, 200);
        // So that the marks of one protocol do not mix with those of the other.
        tests::eventually("idle", || {
            let stats = server.background().stats();
            stats.pending + stats.running == 0
        })
        .await;
    }
}

fn starts(timeline: &Timeline) -> Vec<String> {
    let names = timeline.names().into_iter();
    names.filter(|name| !name.ends_with(" done")).collect()
}

fn twice(names: &[&str]) -> Vec<String> {
    let names = names.iter().map(|name| (*name).to_owned());
    names.clone().chain(names).collect()
}

#[get("/", background = [timeline.task("route 1"), timeline.task("route 2")])]
async fn three_sources(
    State(timeline): State<Timeline>,
    list: BackgroundTasks,
) -> impl IntoResponse {
    list.add_task(timeline.task("handler 1"));
    list.add_task(timeline.task("handler 2"));
    let more = tasks![timeline.task("response 2"), timeline.task("response 3")];
    (timeline.task("response 1"), more, "ok")
}

/// P-ORDER-1, P-SOURCES-1
#[tokio::test]
async fn the_route_comes_first_then_the_handler_then_the_response() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![three_sources]).await;
        fetch(&server, "/").await;
        let expected = twice(&[
            "route 1",
            "route 1 done",
            "route 2",
            "route 2 done",
            "handler 1",
            "handler 1 done",
            "handler 2",
            "handler 2 done",
            "response 1",
            "response 1 done",
            "response 2",
            "response 2 done",
            "response 3",
            "response 3 done",
        ]);
        assert_eq!(timeline.names(), expected, "{setup:?}");
        assert_eq!(settled(server.background(), 14).await.completed, 14);
    })
    .await;
}

#[get("/", background = [timeline.failing("route 1"), timeline.task("route 2")])]
async fn three_failures(
    State(timeline): State<Timeline>,
    list: BackgroundTasks,
) -> impl IntoResponse {
    list.add_task(timeline.panicking("handler 1"));
    list.add_task(timeline.task("handler 2"));
    list.add_task(timeline.task("handler 3"));
    let more = tasks![
        timeline.task("response 1"),
        timeline.failing("response 2"),
        timeline.task("response 3")
    ];
    (more, "ok")
}

fn names(tasks: &[TaskInfo]) -> Vec<&'static str> {
    tasks.iter().map(TaskInfo::name).collect()
}

/// P-FAILURE-1, P-FAILURE-2, P-PANIC-2
#[tokio::test]
async fn a_failure_ends_its_list_and_no_other() {
    let timeline = Timeline::new();
    let server = Server::run(Setup::DEFAULT, &timeline, routes![three_failures]).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/").await;
    let stats = settled(server.background(), 8).await;
    assert_eq!((stats.completed, stats.failed, stats.skipped), (1, 3, 4));
    for never in ["route 2", "handler 2", "handler 3", "response 3"] {
        assert!(timeline.find(never).is_none(), "{never}");
    }
    let skipped_after = |failure: TaskFailure| names(failure.skipped());
    assert_eq!(skipped_after(server.failure("route 1").await), ["route 2"]);
    let handler = server.failure("handler 1").await;
    assert_eq!(skipped_after(handler), ["handler 2", "handler 3"]);
    assert_eq!(
        skipped_after(server.failure("response 2").await),
        ["response 3"]
    );
    // What a failure has named is not reported again.
    assert_eq!(server.failures().count(), 3);
}

#[get("/", background = tasks![
    timeline.task("1"),
    timeline.failing("2"),
    timeline.task("3"),
    timeline.panicking("4"),
    timeline.task("5"),
].continue_on_error())]
async fn continuing(State(timeline): State<Timeline>) -> &'static str {
    let _ = timeline;
    "ok"
}

/// P-FAILURE-3
#[tokio::test]
async fn a_list_with_continue_on_error_goes_on_after_a_failure() {
    let timeline = Timeline::new();
    let server = Server::run(Setup::DEFAULT, &timeline, routes![continuing]).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/").await;
    let stats = settled(server.background(), 5).await;
    assert_eq!((stats.completed, stats.failed, stats.skipped), (3, 2, 0));
    let names = starts(&timeline);
    assert_eq!(names, ["1", "2", "2 error", "3", "4", "4 panic", "5"]);
    assert!(server.failure("2").await.skipped().is_empty());
}

/// Ends only when `other` has started.
fn meeting(timeline: &Timeline, name: &'static str, other: &'static str) -> BoxTask {
    let timeline = timeline.clone();
    named(name, async move {
        timeline.mark(name);
        timeline.reached(other).await;
        timeline.mark(format!("{name} done"));
    })
}

#[get("/")]
async fn concurrently(State(timeline): State<Timeline>) -> impl IntoResponse {
    let list = BackgroundTasks::concurrent();
    list.add_task(meeting(&timeline, "a", "b"));
    list.add_task(timeline.failing("c"));
    list.add_task(meeting(&timeline, "b", "a"));
    (list, "ok")
}

/// P-ORDER-2, P-FAILURE-4
#[tokio::test]
async fn a_concurrent_list_runs_its_members_at_the_same_time() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![concurrently]).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        let stats = settled(server.background(), 3).await;
        assert_eq!((stats.completed, stats.failed, stats.skipped), (2, 1, 0));
    })
    .await;
}

async fn plain(State(timeline): State<Timeline>, list: BackgroundTasks) -> impl IntoResponse {
    list.add_task(timeline.task("handler"));
    let list: BackgroundTasks = ["a", "b"]
        .map(|name| timeline.task(name))
        .into_iter()
        .collect();
    (list, "ok")
}

/// P-ORDER-1
#[tokio::test]
async fn a_plain_axum_route_has_the_handlers_and_the_responses_tasks() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(plain));
        let server = Server::run(setup, &timeline, app).await;
        fetch(&server, "/").await;
        assert_eq!(
            starts(&timeline),
            twice(&["handler", "a", "b"]),
            "{setup:?}"
        );
    })
    .await;
}

async fn returns_its_list(
    State(timeline): State<Timeline>,
    list: BackgroundTasks,
) -> impl IntoResponse {
    list.add_task(timeline.task("once"));
    (list, "ok")
}

#[tokio::test]
async fn the_requests_own_list_may_be_returned_and_runs_once() {
    let timeline = Timeline::new();
    let app = Router::new().route("/", routing::get(returns_its_list));
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/").await;
    assert_eq!(settled(server.background(), 1).await.completed, 1);
    assert_eq!(starts(&timeline), ["once"]);
}

async fn is_a_task(State(timeline): State<Timeline>) -> BoxTask {
    timeline.task("task")
}

async fn is_a_list(State(timeline): State<Timeline>) -> BackgroundTasks {
    tasks![timeline.task("member")]
}

#[tokio::test]
async fn a_task_or_a_list_may_be_the_whole_response() {
    let timeline = Timeline::new();
    let app = Router::new()
        .route("/task", routing::get(is_a_task))
        .route("/list", routing::get(is_a_list));
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    fetch(&server, "/task").await;
    fetch(&server, "/list").await;
    assert_eq!(starts(&timeline), ["task", "task", "member", "member"]);
}

async fn returns_its_list_with_an_error(
    State(timeline): State<Timeline>,
    list: BackgroundTasks,
) -> impl IntoResponse {
    list.add_task(timeline.task("once"));
    (StatusCode::NOT_FOUND, list, "nowhere")
}

/// P-STATUS-5
#[tokio::test]
async fn the_requests_own_list_returned_with_an_error_response_runs() {
    let timeline = Timeline::new();
    let app = Router::new().route("/", routing::get(returns_its_list_with_an_error));
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/").await;
    assert_eq!(settled(server.background(), 1).await.completed, 1);
}

async fn adds_a_list_to_itself(State(timeline): State<Timeline>) -> impl IntoResponse {
    let list = tasks![timeline.task("1")];
    list.add_task(list.clone());
    list.add_task(timeline.task("2"));
    (list, "ok")
}

#[tokio::test]
async fn a_list_that_is_added_to_itself_stays_as_it_is() {
    let timeline = Timeline::new();
    let app = Router::new().route("/", routing::get(adds_a_list_to_itself));
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/").await;
    assert_eq!(settled(server.background(), 2).await.completed, 2);
    assert_eq!(starts(&timeline), ["1", "2"]);
}

async fn several_copies(
    State(timeline): State<Timeline>,
    first: BackgroundTasks,
    second: BackgroundTasks,
) -> &'static str {
    first.add_task(timeline.task("1"));
    second.add_task(timeline.task("2"));
    first.clone().add_task(timeline.task("3"));
    second.add_task(timeline.failing("4"));
    first.add_task(timeline.task("5"));
    "ok"
}

/// P-SOURCES-2
#[tokio::test]
async fn all_copies_of_a_requests_list_are_one_list() {
    let timeline = Timeline::new();
    let app = Router::new().route("/", routing::get(several_copies));
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/").await;
    let stats = settled(server.background(), 5).await;
    assert_eq!((stats.completed, stats.failed, stats.skipped), (3, 1, 1));
    assert_eq!(starts(&timeline), ["1", "2", "3", "4", "4 error"]);
}
