use std::error::Error;
use std::fmt;

use super::Background;
use crate::run;

impl Background {
    /// Returns the `Background` that route attributes use where there is no layer: the installed one, or
    /// one without states and error hooks that is made on first use.
    #[must_use]
    pub fn global() -> Self {
        Self {
            runner: run::global().clone(),
        }
    }

    /// Makes this the [`global`](Self::global) `Background`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is a global one already, because one was installed or because it has been
    /// used.
    pub fn install_global(&self) -> Result<(), InstallGlobalError> {
        run::install_global(self.runner.clone()).map_err(|_| InstallGlobalError(()))
    }
}

/// The error of [`Background::install_global`]: there is a global [`Background`] already.
#[derive(Debug, Clone)]
pub struct InstallGlobalError(());

impl fmt::Display for InstallGlobalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "there is a global `Background` already: one was installed, or one was needed by a route without a layer, or to report a list that was dropped",
        )
    }
}

impl Error for InstallGlobalError {}
