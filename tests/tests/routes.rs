//! Routers of handlers with a route attribute: merged, nested, with state, and their parameters.

use std::sync::{Arc, Mutex, Once};

use axum::body::{Body, to_bytes};
use axum::extract::{FromRef, Path, State};
use axum::http::{Method, Request, StatusCode};
use axum::{Router, routing};
use bg_runtime::{
    Background, BackgroundTasks, background_task, delete, get, method_router, post, route, routes,
};
use tests::{Server, Setup, Timeline, eventually, logs};
use tower::ServiceExt;

/// What the tasks of one test have done.
#[derive(Clone, Default)]
struct Done(Arc<Mutex<Vec<String>>>);

#[background_task]
fn note(text: String, done: &Done) {
    done.0.lock().unwrap().push(text);
}

impl Done {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    async fn wait_for(&self, expected: &[&str]) {
        eventually("the tasks have run", || self.all().len() >= expected.len()).await;
        assert_eq!(self.all(), expected);
    }
}

async fn call(app: &Router, method: Method, path: &str) -> (StatusCode, String) {
    // Otherwise routes without a layer would use the `Background`s of other tests, or none if there were
    // several.
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let background = Background::builder().build().unwrap();
        background.install_global().unwrap();
    });
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[get("/users/{id}/posts/{post}", background = Note::new(format!("read {id} {post}"), done.0.clone()))]
async fn read(post: String, id: u64, done: State<Done>) -> String {
    format!("{id}/{post}")
}

// `id` is used by the tasks alone.
#[delete("/users/{id}", background = Note::new(format!("deleted {id}"), done.clone()))]
async fn remove(id: u64, State(done): State<Done>) {}

#[tokio::test]
async fn path_parameters_are_taken_by_name() {
    let done = Done::default();
    let app = routes![read, remove].with_state(done.clone());
    let answer = call(&app, Method::GET, "/users/7/posts/hello%20there").await;
    assert_eq!(answer, (StatusCode::OK, "7/hello there".to_owned()));
    done.wait_for(&["read 7 hello there"]).await;
    call(&app, Method::DELETE, "/users/7").await;
    done.wait_for(&["read 7 hello there", "deleted 7"]).await;
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_a_bad_request_without_tasks() {
    let done = Done::default();
    let app = routes![read].with_state(done.clone());
    let (status, body) = call(&app, Method::GET, "/users/seven/posts/1").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("`id`") && body.contains("seven"), "{body}");
    assert!(done.all().is_empty());
}

#[tokio::test]
async fn a_router_around_a_route_may_have_path_parameters_of_its_own() {
    let done = Done::default();
    let inner: Router<Done> = routes![read, remove];
    let app = Router::new()
        .nest("/{tenant}", inner)
        .with_state(done.clone());
    let answer = call(&app, Method::GET, "/acme/users/7/posts/1").await;
    assert_eq!(answer, (StatusCode::OK, "7/1".to_owned()));
    done.wait_for(&["read 7 1"]).await;
}

#[derive(Clone)]
struct AppState {
    done: Done,
    greeting: &'static str,
}

impl FromRef<AppState> for Done {
    fn from_ref(state: &AppState) -> Self {
        state.done.clone()
    }
}

#[get("/greeting")]
async fn greeting(State(state): State<AppState>) -> &'static str {
    state.greeting
}

async fn plain(Path(name): Path<String>, tasks: BackgroundTasks, State(done): State<Done>) {
    tasks.add_task(Note::new(name, done));
}

#[tokio::test]
async fn routes_merge_with_plain_ones_and_share_a_state() {
    let done = Done::default();
    let background = Background::builder().build().unwrap();
    let app = routes![greeting, remove]
        .merge(Router::new().route("/plain/{name}", routing::get(plain)))
        .layer(background.layer())
        .with_state(AppState {
            done: done.clone(),
            greeting: "hello",
        });
    assert_eq!(call(&app, Method::GET, "/greeting").await.1, "hello");
    call(&app, Method::GET, "/plain/one").await;
    done.wait_for(&["one"]).await;
    call(&app, Method::DELETE, "/users/2").await;
    done.wait_for(&["one", "deleted 2"]).await;
    eventually("both have ended", || background.stats().completed == 2).await;
}

#[route("/form", methods = [GET, POST], background = Note::new(method.as_str(), done.0.clone()))]
async fn form(method: Method, done: State<Done>) {}

#[post("/form/sent")]
async fn sent() {}

#[tokio::test]
async fn a_route_may_have_several_methods() {
    let done = Done::default();
    let app = routes![form, sent].with_state(done.clone());
    let called = ["GET", "POST", "HEAD"];
    for (index, method) in called.iter().enumerate() {
        let method = method.parse().unwrap();
        assert_eq!(call(&app, method, "/form").await.0, StatusCode::OK);
        done.wait_for(&called[..=index]).await;
    }
    let (status, _) = call(&app, Method::PUT, "/form").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_function_with_a_route_attribute_can_still_be_called() {
    remove(1, State(Done::default())).await;
    assert_eq!(read("x".into(), 1, State(Done::default())).await, "1/x");
}

#[get("/remembered")]
async fn remembered() {}

/// Public, because the compiler warns of a private handler that is not mounted.
#[get("/forgotten")]
pub async fn forgotten() {}

#[tokio::test]
async fn a_server_warns_of_a_route_that_is_not_mounted() {
    logs::keep();
    let app = routes![remembered].with_state(());
    let server = Server::run(Setup::DEFAULT, &Timeline::new(), app).await;
    let warned = || !logs::lines_with("http.route=\"/forgotten\"").is_empty();
    eventually("the forgotten route is named", warned).await;
    let warning = logs::lines_with("http.route=\"/forgotten\"").remove(0);
    for text in ["WARN", "not mounted", "tests/tests/routes.rs:"] {
        assert!(warning.contains(text), "{text} is not in {warning}");
    }
    server.stop().await;
    assert!(logs::lines_with("http.route=\"/remembered\"").is_empty());
}

/// P-ROUTE-1
#[tokio::test]
async fn a_method_router_of_a_route_has_its_methods_and_its_tasks() {
    let done = Done::default();
    let app = Router::new()
        .route("/elsewhere/{id}", method_router![remove])
        .with_state(done.clone());
    let (status, _) = call(&app, Method::GET, "/elsewhere/7").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = call(&app, Method::DELETE, "/users/7").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    call(&app, Method::DELETE, "/elsewhere/7").await;
    done.wait_for(&["deleted 7"]).await;
}
