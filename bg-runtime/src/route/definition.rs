use std::panic::Location;
use std::sync::{Mutex, PoisonError};

use axum::routing::MethodFilter;

/// The record of a route.
#[derive(Debug, Clone, Copy)]
pub struct RouteDef {
    methods: &'static [Method],
    path: &'static str,
    location: &'static Location<'static>,
    detach: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
    Options,
}

impl RouteDef {
    #[track_caller]
    #[must_use]
    pub const fn new(methods: &'static [Method], path: &'static str) -> Self {
        Self {
            methods,
            path,
            location: Location::caller(),
            detach: false,
        }
    }

    /// The handler is finished even if the client goes away.
    #[must_use]
    pub const fn detach(mut self) -> Self {
        self.detach = true;
        self
    }

    pub(crate) fn path(&self) -> &'static str {
        self.path
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.detach
    }

    pub(crate) fn filter(&self) -> Option<MethodFilter> {
        self.methods
            .iter()
            .map(|method| method.filter())
            .reduce(MethodFilter::or)
    }
}

static MOUNTED: Mutex<Vec<&'static Location<'static>>> = Mutex::new(Vec::new());

impl RouteDef {
    pub(crate) fn mark_mounted(&self) {
        let mut mounted = MOUNTED.lock().unwrap_or_else(PoisonError::into_inner);
        if !mounted.contains(&self.location) {
            mounted.push(self.location);
        }
    }
}

/// Tells of routes that were declared and then forgotten in `routes![..]`. The compiler does so for
/// private handlers.
pub(crate) fn warn_of_unmounted() {
    let mounted = MOUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    for route in inventory::iter::<&'static RouteDef> {
        if !mounted.contains(&route.location) {
            tracing::warn!(
                http.route = route.path,
                declared = %route.location,
                "a route is declared, but not mounted: add its handler to `routes![..]`"
            );
        }
    }
}

impl Method {
    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
            Self::Head => MethodFilter::HEAD,
            Self::Options => MethodFilter::OPTIONS,
        }
    }
}

/// Fails the build where two routes of one `routes![..]` have a method and the path in common. axum
/// would panic when the program starts.
pub const fn assert_distinct(routes: &[(RouteDef, &'static str)]) {
    let mut later = 0;
    while later < routes.len() {
        let mut earlier = 0;
        while earlier < later {
            if overlap(&routes[earlier].0, &routes[later].0) {
                duplicate(routes[later].1);
            }
            earlier += 1;
        }
        later += 1;
    }
}

const fn overlap(a: &RouteDef, b: &RouteDef) -> bool {
    let (path, other) = (a.path.as_bytes(), b.path.as_bytes());
    if path.len() != other.len() {
        return false;
    }
    let mut i = 0;
    while i < path.len() {
        if path[i] != other[i] {
            return false;
        }
        i += 1;
    }
    let mut i = 0;
    while i < a.methods.len() {
        let mut j = 0;
        while j < b.methods.len() {
            if a.methods[i] as u8 == b.methods[j] as u8 {
                return true;
            }
            j += 1;
        }
        i += 1;
    }
    false
}

/// Panics with "`name` has the method and path of a handler before it in this list". A `const`
/// panic cannot format, so the message is put together by hand.
const fn duplicate(name: &str) -> ! {
    const REST: &[u8] = b"` has the method and path of a handler before it in this list";
    const LONGEST: usize = 256;
    let mut message = [0; LONGEST];
    message[0] = b'`';
    let mut length = 1;
    let name = name.as_bytes();
    let mut i = 0;
    if name.len() + REST.len() >= LONGEST {
        panic!("a handler has the method and path of one before it in this list");
    }
    while i < name.len() {
        message[length] = name[i];
        length += 1;
        i += 1;
    }
    i = 0;
    while i < REST.len() {
        message[length] = REST[i];
        length += 1;
        i += 1;
    }
    let (message, _) = message.split_at(length);
    match std::str::from_utf8(message) {
        Ok(message) => panic!("{}", message),
        Err(_) => panic!("a handler has the method and path of one before it in this list"),
    }
}
