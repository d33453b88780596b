use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::detached::DetachedLayer;
use crate::log_target::RUNTIME;
use crate::request::{Connection, RequestGuard, RequestTasks};
use crate::run::Runner;
use crate::scope::Scoped;
use crate::task::BoxError;

/// A layer that collects the background tasks of every request, and runs them after its response.
/// Created by [`Background::layer`](crate::Background::layer).
///
/// Put it outside every middleware that builds a new response or re-chunks the body, such as
/// compression. If there is more than one, the outermost does the work. One of another `Background`
/// further in does nothing, and logs a warning.
#[derive(Debug, Clone)]
pub struct BackgroundLayer {
    runner: Arc<Runner>,
    /// Limits the warning about a layer that does nothing to one.
    shadowed: Arc<Once>,
}

impl BackgroundLayer {
    pub(crate) fn new(runner: Arc<Runner>) -> Self {
        Self {
            runner,
            shadowed: Arc::new(Once::new()),
        }
    }

    /// Has every handler finished, and its tasks run, though its client leaves before it has responded.
    /// Off by default: the handler is dropped, and its tasks are skipped.
    ///
    /// Everything inside of the layer runs in a tokio task of its own for each request, with the
    /// middleware there. A timeout that is inside still ends the handler; one that is outside answers the
    /// client, and lets the handler go on. What the handler responds then decides which tasks run. A
    /// shutdown waits for such handlers; those that are not done by its end are left behind. For single
    /// routes there is `detach` of the [route attributes](macro@crate::post#settings).
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use bg_runtime::{Background, BackgroundTasks, named};
    ///
    /// async fn pay(tasks: BackgroundTasks) -> &'static str {
    ///     // ..
    ///     tasks.add_task(named("receipt", async { /* .. */ }));
    ///     "paid"
    /// }
    ///
    /// let background = Background::global();
    /// let app: Router = Router::new()
    ///     .route("/pay", post(pay))
    ///     .layer(background.layer().detach());
    /// # drop(app);
    /// ```
    pub fn detach(self) -> DetachedLayer {
        DetachedLayer::new(self)
    }
}

impl<S> Layer<S> for BackgroundLayer {
    type Service = BackgroundService<S>;

    fn layer(&self, inner: S) -> BackgroundService<S> {
        BackgroundService {
            inner,
            runner: self.runner.clone(),
            shadowed: self.shadowed.clone(),
            connection: None,
        }
    }
}

/// The service that [`BackgroundLayer`] makes, and
/// [`Background::connection`](crate::Background::connection) for one connection.
#[derive(Debug, Clone)]
pub struct BackgroundService<S> {
    inner: S,
    runner: Arc<Runner>,
    shadowed: Arc<Once>,
    connection: Option<Arc<Connection>>,
}

impl<S> BackgroundService<S> {
    pub(crate) fn on_connection(
        inner: S,
        runner: Arc<Runner>,
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            inner,
            runner,
            // Never needed: no layer can be around a connection.
            shadowed: Arc::new(Once::new()),
            connection: Some(connection),
        }
    }
}

impl<S> BackgroundService<S> {
    /// Warns of a layer inside that of another `Background`. Two layers of the same one do no harm.
    fn warn_if_shadowed_by(&self, outer: &Arc<Runner>) {
        if !Arc::ptr_eq(outer, &self.runner) {
            self.shadowed.call_once(|| {
                tracing::warn!(
                    target: RUNTIME,
                    "a `background.layer()` does nothing, because that of another `Background` is \
                     around it: the tasks run on the outer one, with its states, hooks and limits"
                );
            });
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for BackgroundService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: HttpBody<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> ResponseFuture<S::Future> {
        if let Some(outer) = RequestTasks::of(request.extensions()) {
            self.warn_if_shadowed_by(outer.runner());
            return ResponseFuture::Inside {
                future: self.inner.call(request),
            };
        }
        // Nothing is around a connection. Around a layer there may be the request of a handler that calls this
        // service, or of a middleware that passes on a request that it made itself.
        if self.connection.is_none() && RequestTasks::adopting(&mut request, &self.runner).is_some()
        {
            return ResponseFuture::Inside {
                future: self.inner.call(request),
            };
        }
        let tasks = RequestTasks::new(self.runner.clone(), self.connection.clone(), &request);
        request.extensions_mut().insert(tasks.clone());
        let scope = tasks.scope();
        // Before the call: it ends the request if `call` panics.
        let guard = RequestGuard::new(tasks);
        // Entered here as well, because some services do their work in `call` itself.
        let future = scope.clone().enter(|| self.inner.call(request));
        ResponseFuture::Outermost {
            future: scope.scope(future),
            guard,
        }
    }
}

pin_project! {
    /// The future of [`BackgroundService`].
    #[project = Project]
    #[derive(Debug)]
    pub enum ResponseFuture<F> {
        #[doc(hidden)]
        Outermost {
            #[pin] future: Scoped<F>,
            // After `future`, so dropped after it: see `RequestGuard`.
            guard: RequestGuard,
        },
        #[doc(hidden)]
        Inside { #[pin] future: F },
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Outermost { future, guard } => guard.poll_response(cx, |cx| future.poll(cx)),
            Project::Inside { future } => {
                let response = ready!(future.poll(cx));
                Poll::Ready(response.map(|response| response.map(Body::new)))
            }
        }
    }
}
