//! Tasks that come with a response.

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use http::Extensions;

use super::after_response::capture;
use super::into_tasks::IntoTasks;
use super::{BackgroundTasks, RequestTasks, Source};
use crate::task::{BoxTask, Item};

/// Adds background tasks to anything that is a response.
///
/// ```
/// use axum::Json;
/// use axum::response::IntoResponse;
/// use bg_runtime::{WithBackground, background_task, tasks};
///
/// # #[background_task] async fn send_email(to: String) {}
/// # #[background_task] async fn log_event(event: String) {}
/// async fn register(Json(email): Json<String>) -> impl IntoResponse {
///     Json("welcome").with_background(tasks![SendEmail::new(&email), LogEvent::new("registered")])
/// }
/// ```
pub trait WithBackground: IntoResponse + Sized {
    /// Returns the response with these tasks, which run after it has been sent, whatever its status.
    ///
    /// The same as `(tasks, response)`, which works wherever axum takes response parts.
    fn with_background(self, tasks: impl IntoTasks) -> Response {
        let mut response = self.into_response();
        attach(response.extensions_mut(), tasks);
        response
    }
}

impl<R: IntoResponse> WithBackground for R {}

/// The response's own list, in its extensions.
#[derive(Clone)]
struct Attached(BackgroundTasks);

/// Attaches tasks to the response with these extensions.
pub fn attach(extensions: &mut Extensions, tasks: impl IntoTasks) {
    let response = attached(extensions);
    let tasks = tasks.into_tasks();
    if let Some(request) = tasks.request() {
        // Its tasks are queued already. From now on they also count as having come with this response.
        request.attach_handler_list();
    } else if let Some(mut item) = tasks.into_item_of(response) {
        if let Item::List(list) = &mut item {
            list.for_each_mut(&mut capture);
        }
        response.add_item(item);
    }
}

fn attached(extensions: &mut Extensions) -> &BackgroundTasks {
    &extensions
        .get_or_insert_with(|| Attached(BackgroundTasks::of_response()))
        .0
}

/// Hands the tasks of the response over to its request.
pub(super) fn pick_up(extensions: &mut Extensions, request: &Arc<RequestTasks>) {
    if let Some(Attached(list)) = extensions.remove() {
        request.add_all(Source::Response, list);
    }
}

impl IntoResponseParts for BackgroundTasks {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        attach(response.extensions_mut(), self);
        Ok(response)
    }
}

impl IntoResponse for BackgroundTasks {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

impl IntoResponseParts for BoxTask {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        attach(response.extensions_mut(), self);
        Ok(response)
    }
}

impl IntoResponse for BoxTask {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

/// Makes a task usable as part of a response, or as the whole of it.
///
/// A macro, because the traits are axum's, so that only the task's own crate may implement them for
/// it. The bounds hold for every task that is `Send`; for any other they turn its errors into the one
/// that names it. `for<'a>` makes rustc accept such a bound, although it has no parameter.
#[doc(hidden)]
#[macro_export]
macro_rules! __response_part {
    ($task:ty) => {
        impl $crate::__private::axum::response::IntoResponseParts for $task
        where
            for<'a> $task: $crate::IntoTasks,
        {
            type Error = ::core::convert::Infallible;

            fn into_response_parts(
                self,
                mut response: $crate::__private::axum::response::ResponseParts,
            ) -> ::core::result::Result<$crate::__private::axum::response::ResponseParts, Self::Error> {
                $crate::__private::attach(response.extensions_mut(), self);
                ::core::result::Result::Ok(response)
            }
        }

        impl $crate::__private::axum::response::IntoResponse for $task
        where
            for<'a> $task: $crate::IntoTasks,
        {
            fn into_response(self) -> $crate::__private::axum::response::Response {
                $crate::__private::axum::response::IntoResponse::into_response((self, ()))
            }
        }
    };
}
