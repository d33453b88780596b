use std::fmt;

use crate::task::FailureKind;

/// The failure of one run, as engines keep it: one text that names the kind first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunFailure {
    pub(crate) kind: FailureKind,
    pub(crate) error: String,
}

/// Only these are ever stored.
const NAMES: [(FailureKind, &str); 8] = [
    (FailureKind::Error, "error"),
    (FailureKind::Panic, "panic"),
    (FailureKind::Timeout, "timeout"),
    (FailureKind::Aborted, "cancelled"),
    (FailureKind::Skipped, "skipped"),
    (FailureKind::Rejected, "rejected"),
    (FailureKind::Undecodable, "undecodable"),
    (FailureKind::Lost, "lost"),
];

impl RunFailure {
    pub(crate) fn new(kind: FailureKind, error: impl Into<String>) -> Self {
        Self {
            kind,
            error: error.into(),
        }
    }

    /// Reads what `Display` has written; anything else is an error of that text.
    pub(crate) fn parse(text: &str) -> Self {
        let known = text.split_once(": ").and_then(|(name, error)| {
            let (kind, _) = NAMES.iter().find(|(_, known)| *known == name)?;
            Some(Self::new(*kind, error))
        });
        known.unwrap_or_else(|| Self::new(FailureKind::Error, text))
    }
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(kind, _)| *kind == self.kind);
        let name = name.map_or("error", |(_, name)| name);
        write!(f, "{name}: {}", self.error)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_stored_failure_reads_back_as_what_it_was() {
        for (kind, _) in NAMES {
            for error in ["it broke", "", "timeout: of the mailer", "a\nb"] {
                let failure = RunFailure::new(kind, error);
                assert_eq!(RunFailure::parse(&failure.to_string()), failure);
            }
        }
    }

    #[test]
    fn text_of_another_client_is_an_error_of_that_text() {
        for text in ["", "no colon", "unknown: kind", ": "] {
            assert_eq!(
                RunFailure::parse(text),
                RunFailure::new(FailureKind::Error, text)
            );
        }
    }
}
