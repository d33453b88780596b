//! The scripts, which Redis runs each as one step.
//!
//! BullMQ claims, and records what has succeeded. What it has nothing for, or does not do in one step, is here; the keys
//! are its own, and ours beside them begin with `#`.

use std::sync::LazyLock;

use ::redis::{Script, ScriptInvocation};

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        /// Each begins with what all share, `scripts/lib.lua`.
        pub(super) struct Scripts {
            $(pub(super) $name: Script,)*
        }

        static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
            $($name: Script::new(concat!(
                include_str!("scripts/lib.lua"),
                include_str!(concat!("scripts/", stringify!($name), ".lua")),
            )),)*
        });
    };
}

scripts! {
    beat, check, claimed, clean, dead, due, left, look, order, progress, rescue, settle, store, tally, unknown,
    unpark,
}

/// Returns a script with the prefix as its key, by which a cluster finds the node.
pub(super) fn call<'a>(
    prefix: &str,
    script: impl FnOnce(&'a Scripts) -> &'a Script,
) -> ScriptInvocation<'a> {
    script(&SCRIPTS).key(prefix)
}
