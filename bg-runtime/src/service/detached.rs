use std::task::{Context, Poll};

use axum::response::{IntoResponse, Response};
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::layer::{BackgroundLayer, BackgroundService};
use crate::request::{DetachedHandler, RequestTasks};

/// A [`BackgroundLayer`] that also has every handler finished though its client left. Created by
/// [`BackgroundLayer::detach`].
#[derive(Debug, Clone)]
pub struct DetachedLayer(BackgroundLayer);

impl DetachedLayer {
    pub(super) fn new(layer: BackgroundLayer) -> Self {
        Self(layer)
    }
}

impl<S> Layer<S> for DetachedLayer {
    type Service = BackgroundService<DetachedService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(DetachedService::new(inner))
    }
}

/// A service that handles each request in a task of its own. Made by [`BackgroundLayer::detach`].
#[derive(Debug, Clone)]
pub struct DetachedService<S> {
    inner: S,
}

impl<S> DetachedService<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<Request<B>> for DetachedService<S>
where
    S: Service<Request<B>>,
    S::Response: IntoResponse,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = DetachedHandler<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> DetachedHandler<S::Error> {
        let tasks = RequestTasks::of(request.extensions());
        let tasks = tasks.expect("the service around this one puts them there");
        DetachedHandler::spawn(tasks, || {
            let handled = self.inner.call(request);
            async move { handled.await.map(IntoResponse::into_response) }
        })
    }
}
