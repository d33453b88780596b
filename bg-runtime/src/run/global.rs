//! The runner of code that is under no `Background`.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Runner, Settings};

/// `std`'s own lock, because a static outlives each run of the model checker. Readers do not wait for each
/// other: a route without a layer reads it for each request.
static GLOBAL: RwLock<Option<Global>> = RwLock::new(None);

#[derive(Clone)]
struct Global {
    runner: Arc<Runner>,
    /// The application has made it the global one.
    is_installed: bool,
}

/// Returns the runner that was installed, or one with default settings that is made on the first call.
///
/// Dropping a list that was never attached reports it here, so a destructor may be that first call.
/// [`install_global`] fails from then on, and its error says so.
pub(crate) fn global() -> Arc<Runner> {
    if let Some(global) = read() {
        return global.runner;
    }
    let made = Global {
        runner: Runner::new(Settings::default()),
        is_installed: false,
    };
    // Another thread may have been faster. What is not needed is dropped outside of the lock.
    match set(made.clone()) {
        Ok(()) => made.runner,
        Err(_) => global(),
    }
}

/// Returns whether [`global`] finds a runner, and does not make one.
pub(crate) fn is_there_a_global() -> bool {
    read().is_some()
}

/// Returns the runner that was installed; `None` if there is none.
pub(super) fn installed() -> Option<Arc<Runner>> {
    let global = read().filter(|global| global.is_installed);
    global.map(|global| global.runner)
}

/// Makes `runner` the global one. Gives it back as the error if there is a global one already.
pub(crate) fn install_global(runner: Arc<Runner>) -> Result<(), Arc<Runner>> {
    let installed = Global {
        runner,
        is_installed: true,
    };
    set(installed).map_err(|refused| refused.runner)
}

/// Makes room for another global runner, if it is this one: it was shut down.
pub(super) fn forget(runner: &Arc<Runner>) {
    let forgotten = {
        let mut global = GLOBAL.write().unwrap_or_else(PoisonError::into_inner);
        global.take_if(|global| Arc::ptr_eq(&global.runner, runner))
    };
    // Dropped outside of the lock, because its states are the user's.
    drop(forgotten);
}

fn read() -> Option<Global> {
    GLOBAL
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn set(new: Global) -> Result<(), Global> {
    let mut global = GLOBAL.write().unwrap_or_else(PoisonError::into_inner);
    match &*global {
        Some(_) => Err(new),
        None => {
            *global = Some(new);
            Ok(())
        }
    }
}
