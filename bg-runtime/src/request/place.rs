//! Which request takes the tasks of one that comes without a list: code may call a router, or pass on a
//! request that it made itself.

use std::panic::Location;
use std::sync::Arc;

use http::Request;

use super::after_response::current;
use super::guard::RequestGuard;
use super::queue::{Phase, RequestTasks};
use crate::log_target::RUNTIME;
use crate::run::{self, Runner};
use crate::sync::Mutex;
use crate::task::{BoxTask, Item, RequestInfo, SkipReason, TaskList};

/// The handler of a route, for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandlerRef {
    pub(crate) function: &'static str,
    pub(crate) path: &'static str,
    pub(crate) location: &'static Location<'static>,
}

impl RequestTasks {
    /// Returns the tasks that take those of `request`, which has none in its extensions: those of the
    /// request that is being handled, or else new ones, with the guard that ends them.
    ///
    /// `handler` is called if nothing says which `Background` they belong to.
    pub(crate) fn placed<B>(
        request: &mut Request<B>,
        handler: impl FnOnce() -> HandlerRef,
    ) -> (Arc<Self>, Option<RequestGuard>) {
        let current = current();
        if let Some(current) = &current {
            if current.takes_others() {
                return (current.adopt(request), None);
            }
        }
        // The code of a request that is over, a task of it for example: a request of its own, on the same
        // runner.
        let place = match current {
            Some(over) => Ok(over.runner().clone()),
            None => run::place(),
        };
        let tasks = match place {
            Ok(runner) => Self::new(runner, None, request),
            Err(run::Several) => Self::unplaced(request, handler()),
        };
        request.extensions_mut().insert(tasks.clone());
        (tasks.clone(), Some(RequestGuard::new(tasks)))
    }

    /// Returns the tasks of the request that is being handled, if they are those of `runner`, and if it
    /// takes those of `request`.
    pub(crate) fn adopting<B>(request: &mut Request<B>, runner: &Arc<Runner>) -> Option<Arc<Self>> {
        let current = current()?;
        let takes = Arc::ptr_eq(current.runner(), runner) && current.takes_others();
        takes.then(|| current.adopt(request))
    }

    /// Returns whether tasks that are added wait for the response of this request.
    fn takes_others(&self) -> bool {
        !matches!(self.state().phase, Phase::Responded(_))
    }

    fn adopt<B>(self: &Arc<Self>, request: &mut Request<B>) -> Arc<Self> {
        self.complete_info(request.headers(), request.extensions());
        request.extensions_mut().insert(self.clone());
        self.clone()
    }

    /// Creates the tasks of a request that are skipped, because nothing says which `Background` they
    /// belong to.
    fn unplaced<B>(request: &Request<B>, handler: HandlerRef) -> Arc<Self> {
        let tasks = Self::new(run::global(), None, request);
        tasks.state().unplaced = Some(Box::new(handler));
        tasks
    }

    /// Skips a task that has no place, and says so in the log, once for each handler.
    pub(super) fn skip_unplaced(
        &self,
        handler: HandlerRef,
        info: &Arc<RequestInfo>,
        tasks: Item<BoxTask>,
    ) {
        warn_of_missing_layer(handler);
        TaskList::of(tasks).for_each(&mut |task| {
            let reason = SkipReason::NoBackground;
            self.runner().skip(task, Some(info.clone()), reason);
        });
    }
}

fn warn_of_missing_layer(handler: HandlerRef) {
    static LOGGED: Mutex<Vec<&'static Location<'static>>> = Mutex::new(Vec::new());
    {
        let mut logged = LOGGED.lock();
        if logged.contains(&handler.location) {
            return;
        }
        logged.push(handler.location);
    }
    tracing::error!(
        target: RUNTIME,
        handler = handler.function,
        http.route = handler.path,
        declared = %handler.location,
        "the background tasks of a route are skipped, because it stands under no `Background`, and more \
         than one is alive: run the app with `background.serve(..)`, or add `.layer(background.layer())` to \
         the router after its routes (a layer covers the routes that are there when it is added)"
    );
}
