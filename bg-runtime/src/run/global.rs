//! The runner of code that is under no `Background`.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Runner, Settings};

/// `std`'s own lock, because a static outlives each run of the model checker. Readers do not wait for each
/// other: a route without a layer reads it for each request.
static GLOBAL: RwLock<Option<Arc<Runner>>> = RwLock::new(None);

/// Returns the runner that was installed, or one with default settings that is made on the first call.
///
/// Dropping a list that was never attached reports it here, so a destructor may be that first call.
/// [`install_global`] fails from then on, and its error says so.
pub(crate) fn global() -> Arc<Runner> {
    let found = GLOBAL
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    found.unwrap_or_else(|| {
        let made = Runner::new(Settings::default());
        // Another thread may have been faster. What is not needed is dropped outside of the lock.
        match install_global(made.clone()) {
            Ok(()) => made,
            Err(_) => global(),
        }
    })
}

/// Makes `runner` the global one. Gives it back as the error if there is a global one already.
pub(crate) fn install_global(runner: Arc<Runner>) -> Result<(), Arc<Runner>> {
    let mut global = GLOBAL.write().unwrap_or_else(PoisonError::into_inner);
    match &*global {
        Some(_) => Err(runner),
        None => {
            *global = Some(runner);
            Ok(())
        }
    }
}

/// Makes room for another global runner, if it is this one: it was shut down.
pub(super) fn forget(runner: &Arc<Runner>) {
    let forgotten = {
        let mut global = GLOBAL.write().unwrap_or_else(PoisonError::into_inner);
        global.take_if(|global| Arc::ptr_eq(global, runner))
    };
    // Dropped outside of the lock, because its states are the user's.
    drop(forgotten);
}
