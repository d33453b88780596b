//! What `Background::serve` accepts, as bounds whose errors say what to write instead.

use std::convert::Infallible;
use std::fmt;

use axum::body::Body;
use axum::response::IntoResponse;
use axum::serve::Listener;
use http::Request;
use tower_service::Service;

/// A service that can be served.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an app that can be served",
    label = "not a service for requests",
    note = "a `Router<S>` needs its state first: `serve(listener, app.with_state(state))`",
    note = "pass the router itself, not what `into_make_service()` or `into_make_service_with_connect_info::<SocketAddr>()` returns: under `serve`, `ConnectInfo<SocketAddr>` works without them",
    note = "any other app is a `tower::Service<axum::extract::Request, Error = Infallible>` that is `Clone + Send + 'static`, and whose future is `Send`"
)]
pub trait App:
    Service<Request<Body>, Response: IntoResponse + 'static, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

#[diagnostic::do_not_recommend]
impl<S> App for S
where
    S: Service<Request<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse + 'static,
    S::Future: Send,
{
}

/// A listener that can be served from.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a listener that can be served from",
    label = "not a listener",
    note = "bind one with `tokio::net::TcpListener::bind(address).await?`",
    note = "a `std::net::TcpListener` becomes one: `listener.set_nonblocking(true)?`, then `tokio::net::TcpListener::from_std(listener)?`"
)]
pub trait AppListener: Listener<Addr: Clone + fmt::Debug + Sync + 'static> {}

#[diagnostic::do_not_recommend]
impl<L> AppListener for L
where
    L: Listener,
    L::Addr: Clone + fmt::Debug + Sync + 'static,
{
}
