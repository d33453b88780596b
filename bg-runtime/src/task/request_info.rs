//! The request that queued a task, as reports show it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, OriginalUri};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::response_info::ResponseInfo;
use crate::one_line::OneLine;

/// The request that queued a task.
///
/// Displays as `POST /sign-up`.
#[derive(Clone)]
pub struct RequestInfo {
    // Copies, because a part of the head would keep everything that the server has read along with it
    // in memory, for as long as the task waits.
    method: Method,
    path: Box<str>,
    route: Option<RouteName>,
    request_id: Option<Box<str>>,
    response: OnceLock<ResponseInfo>,
    /// The info of which this is a completed copy. It has the response, so that all tasks see the same.
    first: Option<Arc<Self>>,
}

/// The name of a route, as the router has it or as it came with a stored task.
#[derive(Clone)]
enum RouteName {
    Matched(MatchedPath),
    #[cfg(feature = "durable")]
    Stored(Box<str>),
}

impl RequestInfo {
    /// Returns the request that stored a task, for the worker that runs it.
    #[cfg(feature = "durable")]
    pub(crate) fn of_stored(request: StoredRequest) -> Self {
        Self {
            method: request.method.parse().unwrap_or_default(),
            path: request.path.into(),
            route: request.route.map(|route| RouteName::Stored(route.into())),
            request_id: request.request_id.map(Into::into),
            response: OnceLock::new(),
            first: None,
        }
    }

    /// Returns what is stored of the request.
    #[cfg(feature = "durable")]
    pub(crate) fn to_stored(&self) -> StoredRequest {
        StoredRequest {
            method: self.method.to_string(),
            path: self.path().to_owned(),
            route: self.route().map(Into::into),
            request_id: self.request_id().map(Into::into),
        }
    }

    fn new(head: &RequestHead) -> Self {
        Self {
            method: head.method.clone(),
            path: head.path().into(),
            route: head.route.clone().map(RouteName::Matched),
            request_id: head.request_id.as_ref().and_then(text),
            response: OnceLock::new(),
            first: None,
        }
    }

    /// Returns a copy completed with what is known now; `None` if nothing is new.
    fn completed(self: &Arc<Self>, headers: &HeaderMap, extensions: &Extensions) -> Option<Self> {
        let route = match self.route {
            Some(_) => None,
            None => extensions.get().cloned().map(RouteName::Matched),
        };
        let request_id = match self.request_id {
            Some(_) => None,
            None => headers.get(&REQUEST_ID).and_then(text),
        };
        let is_news = route.is_some() || request_id.is_some();
        is_news.then(|| Self {
            method: self.method.clone(),
            path: self.path.clone(),
            route: route.or_else(|| self.route.clone()),
            request_id: request_id.or_else(|| self.request_id.clone()),
            response: OnceLock::new(),
            first: Some(self.first.clone().unwrap_or_else(|| self.clone())),
        })
    }

    /// Where the response of this request is noted.
    fn response_cell(&self) -> &OnceLock<ResponseInfo> {
        match &self.first {
            Some(first) => &first.response,
            None => &self.response,
        }
    }

    /// How the response went, once it is over: what [`TaskContext::response`] returns.
    ///
    /// [`TaskContext::response`]: crate::TaskContext::response
    pub(super) fn response(&self) -> Option<ResponseInfo> {
        self.response_cell().get().copied()
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request's path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The route that matched, as it was declared: `/users/{id}`. `None` if none was known when the task
    /// was queued.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.route.as_ref().map(|route| match route {
            RouteName::Matched(route) => route.as_str(),
            #[cfg(feature = "durable")]
            RouteName::Stored(route) => route,
        })
    }

    /// The value of the request's `x-request-id` header. `None` if there is none, or if it is not text.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl fmt::Display for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", OneLine(&self.method), OneLine(self.path()))
    }
}

impl fmt::Debug for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestInfo")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("route", &self.route())
            .field("request_id", &self.request_id())
            .finish()
    }
}

/// The parts of a request that are stored with its durable tasks.
#[cfg(feature = "durable")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) route: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// A [`RequestInfo`] that is made when the first task asks for it, because most requests have no tasks.
pub(crate) struct LazyInfo(InfoState);

enum InfoState {
    Head(RequestHead),
    Made(Arc<RequestInfo>),
}

impl LazyInfo {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self(InfoState::Head(RequestHead::of(request)))
    }

    pub(crate) fn get(&mut self) -> Arc<RequestInfo> {
        match &self.0 {
            InfoState::Made(info) => info.clone(),
            InfoState::Head(head) => {
                let info = Arc::new(RequestInfo::new(head));
                self.0 = InfoState::Made(info.clone());
                info
            }
        }
    }

    pub(crate) fn is_head(&self) -> bool {
        let method = match &self.0 {
            InfoState::Head(head) => &head.method,
            InfoState::Made(info) => &info.method,
        };
        method == Method::HEAD
    }

    /// Notes how the response went. Only the first call has an effect.
    pub(crate) fn set_response(&mut self, response: ResponseInfo) {
        let _ = self.get().response_cell().set(response);
    }

    /// Adds what becomes known further in: the router knows the route, a middleware sets the request id.
    /// Tasks that were queued earlier keep the info that they have.
    pub(crate) fn complete(&mut self, headers: &HeaderMap, extensions: &Extensions) {
        match &mut self.0 {
            InfoState::Head(head) => head.complete(headers, extensions),
            InfoState::Made(info) => {
                if let Some(completed) = info.completed(headers, extensions) {
                    *info = Arc::new(completed);
                }
            }
        }
    }
}

/// The parts of a [`RequestInfo`], each at the cost of a reference count, so that a request without
/// tasks pays next to nothing.
struct RequestHead {
    method: Method,
    path: Option<PathAndQuery>,
    route: Option<MatchedPath>,
    request_id: Option<HeaderValue>,
}

impl RequestHead {
    fn of<B>(request: &Request<B>) -> Self {
        let (headers, extensions) = (request.headers(), request.extensions());
        let original = extensions.get::<OriginalUri>().map(|original| &original.0);
        Self {
            method: request.method().clone(),
            path: original.unwrap_or(request.uri()).path_and_query().cloned(),
            route: extensions.get().cloned(),
            request_id: headers.get(&REQUEST_ID).cloned(),
        }
    }

    fn path(&self) -> &str {
        self.path.as_ref().map_or("", PathAndQuery::path)
    }

    fn complete(&mut self, headers: &HeaderMap, extensions: &Extensions) {
        if self.route.is_none() {
            self.route = extensions.get().cloned();
        }
        if self.request_id.is_none() {
            self.request_id = headers.get(&REQUEST_ID).cloned();
        }
    }
}

/// A static, because it is looked up in every request.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn text(value: &HeaderValue) -> Option<Box<str>> {
    value.to_str().ok().map(Into::into)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use bytes::Bytes;
    use http::Uri;

    use super::*;

    #[test]
    fn a_waiting_task_does_not_keep_what_the_server_has_read_in_memory() {
        let path = Bytes::from(String::from("/sign-up?with=a+long+query"));
        let id = Bytes::from(String::from("7c9e"));
        let request = Request::builder()
            .uri(Uri::from_maybe_shared(path.clone()).unwrap())
            .header(
                &REQUEST_ID,
                HeaderValue::from_maybe_shared(id.clone()).unwrap(),
            )
            .body(())
            .unwrap();
        let mut lazy = LazyInfo::of(&request);
        drop(request);
        assert!(!path.is_unique() && !id.is_unique(), "there is no task yet");

        let info = lazy.get();
        assert!(path.is_unique() && id.is_unique());
        assert_eq!((info.path(), info.request_id()), ("/sign-up", Some("7c9e")));
    }

    #[test]
    fn a_request_id_that_a_middleware_sets_is_found() {
        let mut request = Request::builder()
            .header("x-correlation-id", "7c9e")
            .body(())
            .unwrap();
        let mut lazy = LazyInfo::of(&request);
        let id = request.headers_mut().remove("x-correlation-id").unwrap();
        request.headers_mut().insert(&REQUEST_ID, id);
        lazy.complete(request.headers(), request.extensions());
        assert_eq!(lazy.get().request_id(), Some("7c9e"));
    }

    #[test]
    fn a_request_info_is_replaced_only_if_more_becomes_known() {
        let mut request = Request::new(());
        let mut lazy = LazyInfo::of(&request);
        let first = lazy.get();
        lazy.complete(request.headers(), request.extensions());
        assert!(Arc::ptr_eq(&first, &lazy.get()));

        request
            .headers_mut()
            .insert(&REQUEST_ID, HeaderValue::from_static("7c9e"));
        lazy.complete(request.headers(), request.extensions());
        assert_eq!(first.request_id(), None, "it keeps what was known then");
        assert_eq!(lazy.get().request_id(), Some("7c9e"));
    }

    #[test]
    fn a_request_keeps_the_first_request_id_that_it_had() {
        let mut request = Request::new(());
        let first = HeaderValue::from_static("first");
        request.headers_mut().insert(&REQUEST_ID, first);
        let mut lazy = LazyInfo::of(&request);
        let second = HeaderValue::from_static("second");
        request.headers_mut().insert(&REQUEST_ID, second);
        lazy.complete(request.headers(), request.extensions());
        assert_eq!(lazy.get().request_id(), Some("first"));
        lazy.complete(request.headers(), request.extensions());
        assert_eq!(lazy.get().request_id(), Some("first"));
    }
}
