use std::panic::Location;

use axum::routing::MethodFilter;

use crate::sync::Mutex;

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

inventory::collect!(&'static RouteDef);

static MOUNTED: Mutex<Vec<&'static Location<'static>>> = Mutex::new(Vec::new());

impl RouteDef {
    pub(crate) fn mark_mounted(&self) {
        let mut mounted = MOUNTED.lock();
        if !mounted.contains(&self.location) {
            mounted.push(self.location);
        }
    }
}

/// Tells of routes that were declared and then forgotten in `routes![..]`. The compiler does so for
/// private handlers.
pub(crate) fn warn_of_unmounted() {
    let mounted = MOUNTED.lock();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contain::contain;

    const READ: RouteDef = RouteDef::new(&[Method::Head, Method::Get], "/orders");
    const ADD: RouteDef = RouteDef::new(&[Method::Post], "/orders");
    const READ_ONE: RouteDef = RouteDef::new(&[Method::Get], "/orders/{id}");
    const READ_ALL: RouteDef = RouteDef::new(&[Method::Options, Method::Get], "/orders");
    const READ_USERS: RouteDef = RouteDef::new(&[Method::Get], "/users/");

    fn complaint(routes: &[(RouteDef, &'static str)]) -> Option<String> {
        let panicked = contain(|| assert_distinct(routes)).err();
        panicked.map(|panicked| panicked.to_string())
    }

    #[test]
    fn routes_that_differ_in_the_path_or_the_method_are_distinct() {
        let routes = [READ, ADD, READ_ONE, READ_USERS].map(|route| (route, "handler"));
        assert_eq!(complaint(&routes), None);
    }

    #[test]
    fn a_route_with_a_method_and_the_path_of_any_before_it_is_named() {
        for routes in [
            &[(READ, "first"), (READ_ALL, "twice")][..],
            &[(READ, "first"), (ADD, "between"), (READ_ALL, "twice")],
            &[(ADD, "between"), (READ, "first"), (READ_ALL, "twice")],
        ] {
            assert_eq!(
                complaint(routes).as_deref(),
                Some("`twice` has the method and path of a handler before it in this list")
            );
        }
    }

    #[test]
    fn a_name_too_long_for_the_message_is_left_out_of_it() {
        let rest = "` has the method and path of a handler before it in this list";
        let longest: &str = "n".repeat(255 - rest.len()).leak();
        let too_long: &str = "n".repeat(256 - rest.len()).leak();
        assert_eq!(
            complaint(&[(READ, "first"), (READ, longest)]),
            Some(format!("`{longest}{rest}"))
        );
        assert_eq!(
            complaint(&[(READ, "first"), (READ, too_long)]).as_deref(),
            Some("a handler has the method and path of one before it in this list")
        );
    }
}
