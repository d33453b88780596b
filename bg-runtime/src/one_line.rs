use std::fmt::{self, Write};

/// Text from outside, with its control characters escaped, so that it cannot forge a line of a log.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape(f), "{}", self.0)
    }
}

struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, control)) = rest.char_indices().find(|(_, c)| c.is_control()) {
            write!(self.0, "{}{}", &rest[..at], control.escape_default())?;
            rest = &rest[at + control.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_or_a_terminal_sequence_is_escaped_and_nothing_else() {
        let text = "café\r\n2026-01-01 ERROR forged \u{1b}[31m";
        assert_eq!(
            OneLine(text).to_string(),
            r"café\r\n2026-01-01 ERROR forged \u{1b}[31m"
        );
    }
}
