//! The runner of code that stands under no `Background`.

use std::sync::{Arc, OnceLock};

use super::{Runner, Settings};

static GLOBAL: OnceLock<Arc<Runner>> = OnceLock::new();

/// Returns the runner that was installed; if none was, one with default settings is made on the first
/// call.
///
/// Dropping a list that was never attached reports it here, so a destructor may be that first call.
/// [`install_global`] fails from then on, and its error says so.
pub(crate) fn global() -> &'static Arc<Runner> {
    GLOBAL.get_or_init(|| Runner::new(Settings::default()))
}

/// Makes this the global runner. Fails with the runner if there is one already.
pub(crate) fn install_global(runner: Arc<Runner>) -> Result<(), Arc<Runner>> {
    GLOBAL.set(runner)
}
