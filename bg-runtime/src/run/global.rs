//! The runner of code that is under no `Background`.

use std::sync::{Arc, OnceLock};

use super::{Runner, Settings};

static GLOBAL: OnceLock<Arc<Runner>> = OnceLock::new();

/// Returns the runner that was installed, or one with default settings that is made on the first call.
///
/// Dropping a list that was never attached reports it here, so a destructor may be that first call.
/// [`install_global`] fails from then on, and its error says so.
pub(crate) fn global() -> &'static Arc<Runner> {
    GLOBAL.get_or_init(|| Runner::new(Settings::default()))
}

/// Makes `runner` the global one. Gives it back as the error if there is a global one already.
pub(crate) fn install_global(runner: Arc<Runner>) -> Result<(), Arc<Runner>> {
    GLOBAL.set(runner)
}
