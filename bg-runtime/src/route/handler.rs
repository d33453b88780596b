use std::any::type_name;
use std::convert::Infallible;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodRouter, on};
use futures_util::FutureExt;
use http::Request;
use pin_project_lite::pin_project;

use super::RouteDef;
use crate::request::{
    BackgroundTasks, DetachedHandler, HandlerRef, IntoTasks, RequestGuard, RequestTasks, Source,
    current,
};
use crate::scope::Scoped;

/// Returns a route without its path. The only way by which generated code calls a handler.
///
/// The route counts as mounted from here on.
pub fn method_router<H, T, S>(route: RouteDef, handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    route.mark_mounted();
    match route.filter() {
        Some(filter) => on(
            filter,
            RouteHandler {
                handler,
                detach: route.is_detached(),
                path: route.path(),
                location: route.location(),
            },
        ),
        None => MethodRouter::new(),
    }
}

/// Adds a route to a router.
pub fn mount<S>(router: Router<S>, route: RouteDef, methods: MethodRouter<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    // The stub of a handler that has mistakes has no path.
    if route.path().is_empty() {
        return router;
    }
    router.route(route.path(), methods)
}

/// A handler that collects its request's tasks, and ends the request if nothing further out does.
#[derive(Clone)]
struct RouteHandler<H> {
    handler: H,
    detach: bool,
    path: &'static str,
    location: &'static Location<'static>,
}

impl<H> RouteHandler<H> {
    fn handler_ref(&self) -> HandlerRef {
        // `H` is the function that the attribute writes beside the user's.
        let function = type_name::<H>();
        HandlerRef {
            function: function.strip_suffix("::__handle").unwrap_or(function),
            path: self.path,
            location: self.location,
        }
    }
}

impl<H, T, S> Handler<T, S> for RouteHandler<H>
where
    H: Handler<T, S>,
    T: 'static,
    S: Send + 'static,
{
    type Future = RouteFuture<H::Future>;

    fn call(self, mut request: Request<Body>, state: S) -> RouteFuture<H::Future> {
        let outer = RequestTasks::of(request.extensions());
        let (tasks, guard) = match outer {
            Some(tasks) => {
                tasks.complete_info(request.headers(), request.extensions());
                (tasks, None)
            }
            None => RequestTasks::placed(&mut request, || self.handler_ref()),
        };
        let call = if self.detach {
            Call::Detached {
                handler: DetachedHandler::spawn(tasks.clone(), || {
                    self.handler.call(request, state).map(Ok)
                }),
            }
        } else {
            let future = self.handler.call(request, state);
            Call::Attached {
                handler: tasks.scope().scope(future),
            }
        };
        RouteFuture { call, tasks, guard }
    }
}

pin_project! {
    /// The future of [`RouteHandler`].
    #[project = RouteFutureProject]
    pub struct RouteFuture<F> {
        #[pin] call: Call<F>,
        tasks: Arc<RequestTasks>,
        // After `call`, so dropped after it: see `RequestGuard`.
        guard: Option<RequestGuard>,
    }
}

pin_project! {
    #[project = CallProject]
    enum Call<F> {
        Attached { #[pin] handler: Scoped<F> },
        Detached { #[pin] handler: DetachedHandler<Infallible> },
    }
}

impl<F: Future<Output = Response>> Future for RouteFuture<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let RouteFutureProject { call, tasks, guard } = self.project();
        let handler = |cx: &mut Context<'_>| -> Poll<Result<Response, Infallible>> {
            let mut response = ready!(call.poll(tasks, cx));
            tasks.pick_up(&mut response);
            Poll::Ready(Ok(response))
        };
        let response = match guard {
            Some(guard) => ready!(guard.poll_response(cx, handler)),
            None => ready!(handler(cx)),
        };
        let Ok(response) = response;
        Poll::Ready(response)
    }
}

impl<F: Future<Output = Response>> Call<F> {
    fn poll(
        self: Pin<&mut Self>,
        tasks: &Arc<RequestTasks>,
        cx: &mut Context<'_>,
    ) -> Poll<Response> {
        match self.project() {
            CallProject::Attached { handler } => tasks.watch_panics(|| handler.poll(cx)),
            CallProject::Detached { handler } => {
                let Ok(response) = ready!(handler.poll(cx));
                Poll::Ready(response)
            }
        }
    }
}

/// Lets `queue` add to the route-level list of the request that is being handled.
///
/// It gives the list back, so that the closure in which `background` is evaluated has a return type of
/// which `background` has no value, and cannot be left early.
pub fn queue_route_tasks(queue: impl FnOnce(RouteTasks) -> RouteTasks) {
    queue(RouteTasks(current()));
}

/// Makes a variable a used one.
pub fn used<T: ?Sized>(_: &T) {}

#[derive(Debug)]
pub struct RouteTasks(Option<Arc<RequestTasks>>);

impl RouteTasks {
    pub fn push(&self, tasks: impl IntoTasks) {
        match &self.0 {
            Some(request) => request.add_all(Source::Route, tasks),
            // Cannot happen through `mount`. Dropping a list reports its tasks.
            None => drop(BackgroundTasks::new().with_task(tasks)),
        }
    }
}

/// Returns the handler's future. The bound gives a message of its own for a handler that returns none.
pub fn handler_future<F: HandlerFuture>(future: F) -> F {
    future
}

#[diagnostic::on_unimplemented(
    message = "a handler must be an `async fn`",
    label = "this returns `{Self}`, which is not a future"
)]
pub trait HandlerFuture: Future {}

#[diagnostic::do_not_recommend]
impl<F: Future> HandlerFuture for F {}
