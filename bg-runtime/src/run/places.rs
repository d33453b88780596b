//! Where tasks go that come from under no `Background`: from a route without a layer, or from a list that
//! is dropped outside of a request.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::Runner;
use super::global::{global, installed};

/// The runners of the `Background`s that were built. Copied when one is added, so that none of the user's
/// code runs under the lock: releasing what may be the last reference to a runner drops its states.
///
/// `std`'s own lock, because a static outlives each run of the model checker.
static BUILT: RwLock<Option<Arc<[Weak<Runner>]>>> = RwLock::new(None);

/// More than one `Background` is alive, and nothing says which of them a task belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Several;

/// Returns whether a `Background` that was built is alive.
pub(crate) fn one_is_built() -> bool {
    alive(&built()).next().is_some()
}

fn built() -> Arc<[Weak<Runner>]> {
    let built = BUILT.read().unwrap_or_else(PoisonError::into_inner).clone();
    built.unwrap_or_default()
}

fn alive(built: &[Weak<Runner>]) -> impl Iterator<Item = Arc<Runner>> {
    let there = built.iter().filter_map(Weak::upgrade);
    there.filter(|runner| !runner.is_shut_down())
}

/// Returns the runner that was installed as the global one, or else the only one that is alive, or else
/// the global one, which is made if there is none yet.
pub(crate) fn place() -> Result<Arc<Runner>, Several> {
    if let Some(installed) = installed().filter(|runner| !runner.is_shut_down()) {
        return Ok(installed);
    }
    let built = built();
    let mut alive = alive(&built);
    match (alive.next(), alive.next()) {
        (None, _) => Ok(global()),
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(Several),
    }
}

/// Adds the runner of a `Background` that was built, and forgets those that are gone.
pub(crate) fn add_built(runner: &Arc<Runner>) {
    let added = Arc::downgrade(runner);
    let mut built = BUILT.write().unwrap_or_else(PoisonError::into_inner);
    let earlier = built.as_deref().unwrap_or_default();
    let kept = earlier.iter().filter(|runner| runner.strong_count() > 0);
    *built = Some(kept.cloned().chain([added]).collect());
}
