use std::error::Error;
use std::fmt;
use std::panic::Location;

use super::Background;
use crate::log_target::RUNTIME;
use crate::run;

impl Background {
    /// Returns the global `Background`: the installed one, or one without states and error hooks that is
    /// made on first use.
    ///
    /// A route attribute without a layer uses the installed one. If none is installed, it uses the only
    /// `Background` that is alive, which is one that was built and not shut down; the one that is made on
    /// first use only if there is no such `Background`.
    ///
    /// When it has been [shut down](Self::shutdown), it is the global one no more: the next call returns a
    /// new one, and another can be [installed](Self::install_global). So a test that shuts it down takes
    /// it from no other.
    ///
    /// An application that builds a `Background` of its own and means that one either uses its handle or
    /// installs it. A call that makes another beside it is a warning in the log, because that one has none of its
    /// states, hooks and settings, and no [`serve`](Self::serve) drains it.
    #[must_use]
    #[track_caller]
    pub fn global() -> Self {
        if !run::is_there_a_global() && run::one_is_built() {
            tracing::warn!(
                target: RUNTIME,
                called = %Location::caller(),
                "`Background::global()` makes another `Background` than the one that was built: without its states, \
                 hooks and settings, and drained by no `serve`; use the handle, or call `install_global()` on it first"
            );
        }
        Self {
            runner: run::global(),
        }
    }

    /// Makes this the [`global`](Self::global) `Background`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is a global one already, because one was installed or because one was made:
    /// by [`global`](Self::global), or for tasks of a route or of a dropped list that no other `Background`
    /// was there for. One that was shut down is not in the way. Returns an error as well if this one was
    /// shut down.
    pub fn install_global(&self) -> Result<(), InstallGlobalError> {
        if self.runner.is_shut_down() {
            return Err(InstallGlobalError(Reason::ShutDown));
        }
        run::install_global(self.runner.clone())
            .map_err(|_| InstallGlobalError(Reason::AnotherIsThere))
    }
}

/// The error of [`Background::install_global`]: there is a global [`Background`] already, or this one was
/// shut down.
#[derive(Debug, Clone)]
pub struct InstallGlobalError(Reason);

#[derive(Debug, Clone)]
enum Reason {
    AnotherIsThere,
    ShutDown,
}

impl fmt::Display for InstallGlobalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Reason::AnotherIsThere => {
                "there is a global `Background` already: one was installed, or one was made, by `Background::global()`, \
                 or for a route or a dropped list for whose tasks there was not exactly one other `Background`: install \
                 yours before the first request"
            }
            Reason::ShutDown => {
                "this `Background` was shut down, and runs no task any more: install one that was not"
            }
        })
    }
}

impl Error for InstallGlobalError {}
