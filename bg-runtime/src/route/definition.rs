use std::panic::Location;

use axum::routing::MethodFilter;

use crate::log_target::RUNTIME;
use crate::sync::Mutex;

/// A route as its attribute declares it: a constant that `routes!` mounts.
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
    /// The caller's location is the route's identity: see [`mark_mounted`](Self::mark_mounted). So
    /// generated code calls this with the span of the handler's name (`bg-macros/src/route/expand.rs`).
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

    /// Makes the handler run to its end even if the client goes away.
    #[must_use]
    pub const fn detach(mut self) -> Self {
        self.detach = true;
        self
    }

    pub(crate) fn path(&self) -> &'static str {
        self.path
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.detach
    }

    /// Returns the filter for the route's methods; `None` if it has none.
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
    /// Records that the route is mounted, for [`warn_of_unmounted`].
    ///
    /// By location, because copies of a constant have no address in common. Routes that one call of a
    /// macro declares share a location, so mounting one of them counts for all.
    pub(crate) fn mark_mounted(&self) {
        let mut mounted = MOUNTED.lock();
        if !mounted.contains(&self.location) {
            mounted.push(self.location);
        }
    }
}

/// Warns of routes that were declared, but forgotten in `routes![..]`. For private handlers the compiler
/// does so.
pub(crate) fn warn_of_unmounted() {
    let mounted = MOUNTED.lock();
    for route in inventory::iter::<&'static RouteDef> {
        if !mounted.contains(&route.location) {
            tracing::warn!(
                target: RUNTIME,
                {
                    http.route = route.path,
                    declared = %route.location,
                },
                "a route is declared, but not mounted yet: its tasks run only where `bg_runtime::routes![..]` or \
                 `bg_runtime::method_router![..]` mounts it"
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

/// Returns whether the route with this number has no method and path in common with one before it.
///
/// `routes!` calls this in a constant, and numbers the handlers as they are written. A number is not an
/// index of `routes`, which a `#[cfg]` on an earlier handler would shift; and not the handler's name,
/// which a list may contain twice.
pub const fn is_distinct(routes: &[(usize, RouteDef)], number: usize) -> bool {
    let mut later = 0;
    while later < routes.len() {
        if routes[later].0 == number {
            let mut earlier = 0;
            while earlier < later {
                if overlap(&routes[earlier].1, &routes[later].1) {
                    return false;
                }
                earlier += 1;
            }
        }
        later += 1;
    }
    true
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

#[cfg(test)]
mod tests {
    use super::*;

    const READ: RouteDef = RouteDef::new(&[Method::Head, Method::Get], "/orders");
    const ADD: RouteDef = RouteDef::new(&[Method::Post], "/orders");
    const READ_ONE: RouteDef = RouteDef::new(&[Method::Get], "/orders/{id}");
    const READ_ALL: RouteDef = RouteDef::new(&[Method::Options, Method::Get], "/orders");
    const READ_USERS: RouteDef = RouteDef::new(&[Method::Get], "/users/");

    /// Returns the numbers of the routes that are not distinct.
    fn duplicates(routes: &[(usize, RouteDef)]) -> Vec<usize> {
        let numbers = routes.iter().map(|(number, _)| *number);
        numbers
            .filter(|number| !is_distinct(routes, *number))
            .collect()
    }

    #[test]
    fn routes_that_differ_in_the_path_or_the_method_are_distinct() {
        let routes = [(0, READ), (1, ADD), (2, READ_ONE), (3, READ_USERS)];
        assert!(duplicates(&routes).is_empty());
    }

    #[test]
    fn a_route_with_a_method_and_the_path_of_any_before_it_is_not_distinct() {
        for routes in [
            &[(0, READ), (1, READ_ALL)][..],
            &[(0, READ), (2, ADD), (1, READ_ALL)],
            &[(2, ADD), (0, READ), (1, READ_ALL)],
        ] {
            assert_eq!(duplicates(routes), [1]);
        }
    }

    #[test]
    fn of_a_route_that_is_given_twice_only_the_second_is_not_distinct() {
        assert_eq!(duplicates(&[(0, READ), (1, ADD), (2, READ)]), [2]);
    }

    #[test]
    fn a_route_keeps_its_number_if_one_before_it_is_left_out() {
        assert_eq!(duplicates(&[(1, READ), (2, ADD), (4, READ_ALL)]), [4]);
    }
}
