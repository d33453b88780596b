use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::extract::{MissingBackground, tasks_of};

/// The moment when the server is told to stop, for streams and sockets that would otherwise go on for
/// ever: an argument of the handler, and a future that completes then.
///
/// A server that stops waits for its responses, up to the
/// [`drain_timeout`](crate::BackgroundBuilder::drain_timeout). A stream that ends with this future lets it
/// stop at once, and the tasks of its request run.
///
/// ```
/// use std::time::Duration;
///
/// use axum::body::Body;
/// use bg_runtime::{Stopping, get, routes};
/// use futures_util::StreamExt;
///
/// #[get("/clock")]
/// async fn clock(stopping: Stopping) -> Body {
///     let ticks = futures_util::stream::unfold((), async |()| {
///         tokio::time::sleep(Duration::from_secs(1)).await;
///         Some((Ok::<_, std::convert::Infallible>("tick\n"), ()))
///     });
///     Body::from_stream(ticks.take_until(stopping))
/// }
/// # let _: axum::Router = routes![clock];
/// ```
///
/// Under [`Background::serve`](crate::Background::serve) it completes when the server that has accepted
/// the connection is told to stop, or when [`Background::shutdown`](crate::Background::shutdown) is
/// called. Under [`Background::layer`](crate::Background::layer), or on a route attribute without one, it
/// completes with [`Background::stopping`](crate::Background::stopping): another server does not tell the
/// library when it stops, so call `shutdown` while it does.
///
/// As an extractor it is rejected where [`BackgroundTasks`](crate::BackgroundTasks) is: where neither a
/// server, a layer nor a route attribute collects the request's tasks. Clones complete together. To be
/// polled or awaited again after it has completed is fine. Cancel safe.
pub struct Stopping {
    token: CancellationToken,
    /// Made when this is polled for the first time.
    wait: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Stopping {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self { token, wait: None }
    }

    /// Returns whether the server was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the server is told to stop, like awaiting a clone: for the loop of a socket.
    ///
    /// Cancel safe.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }
}

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { token, wait } = &mut *self;
        let waiting = wait.get_or_insert_with(|| Box::pin(token.clone().cancelled_owned()));
        ready!(waiting.as_mut().poll(cx));
        // So that it may be polled again.
        *wait = None;
        Poll::Ready(())
    }
}

impl Clone for Stopping {
    fn clone(&self) -> Self {
        Self::new(self.token.clone())
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping")
            .field("is_stopping", &self.is_stopping())
            .finish_non_exhaustive()
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequestParts<S> for Stopping {
    type Rejection = MissingBackground;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingBackground> {
        find(parts).ok_or_else(|| MissingBackground::new("Stopping", parts))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Stopping {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(find(parts))
    }
}

fn find(parts: &Parts) -> Option<Stopping> {
    let request = tasks_of(parts)?;
    let runner = request.runner();
    let token = match request.delivery().server_stopping() {
        Some(of_server) => of_server.clone(),
        None => runner.stopping(runner.signals()),
    };
    Some(Stopping::new(token))
}
