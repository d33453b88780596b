use std::fmt::{self, Write};

/// The length at which text from outside is cut, in bytes: more than most errors need, and a bound on
/// the length of a log line.
const LIMIT: usize = 4096;

/// Displays text from outside on one line of bounded length, and escapes the characters that a terminal
/// or an editor would act upon. The text can then neither forge log lines nor flood the log.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_within(LIMIT, &self.0, f)
    }
}

/// Writes text like [`OneLine`], but cut at `limit` bytes.
pub(crate) fn write_within(
    limit: usize,
    text: impl fmt::Display,
    to: &mut impl Write,
) -> fmt::Result {
    let mut line = Line {
        to,
        room: limit,
        is_cut: false,
    };
    let written = write!(line, "{text}");
    if line.is_cut {
        return line.to.write_char('…');
    }
    written
}

struct Line<'a, W> {
    to: &'a mut W,
    room: usize,
    is_cut: bool,
}

impl<W: Write> Line<'_, W> {
    /// Writes the part of the text that there is room for. If that is not all of it, returns an error,
    /// which stops the formatting of the rest.
    fn put(&mut self, text: &str) -> fmt::Result {
        let end = if text.len() <= self.room {
            text.len()
        } else {
            let boundary = |end: &usize| text.is_char_boundary(*end);
            (0..=self.room).rev().find(boundary).unwrap_or(0)
        };
        self.to.write_str(&text[..end])?;
        if end < text.len() {
            self.room = 0;
            self.is_cut = true;
            return Err(fmt::Error);
        }
        self.room -= end;
        Ok(())
    }
}

impl<W: Write> Write for Line<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_escaped(*c)) {
            self.put(&rest[..at])?;
            self.put(&c.escape_default().to_string())?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.put(rest)
    }
}

/// Returns `true` for control characters, for the line breaks that Unicode does not count among these,
/// and for characters that change the direction of text.
fn is_escaped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_terminal_sequences_are_escaped_and_letters_are_not() {
        let text = "café\r\n2026-01-01 ERROR forged \u{1b}[31m\u{9b}32m";
        assert_eq!(
            OneLine(text).to_string(),
            r"café\r\n2026-01-01 ERROR forged \u{1b}[31m\u{9b}32m"
        );
    }

    #[test]
    fn unicode_line_breaks_and_changes_of_direction_are_escaped() {
        let text = "a\u{2028}b\u{2029}c\u{85}d\u{202e}e\u{2066}f";
        assert_eq!(
            OneLine(text).to_string(),
            r"a\u{2028}b\u{2029}c\u{85}d\u{202e}e\u{2066}f"
        );
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let fits = "x".repeat(LIMIT);
        assert_eq!(OneLine(&fits).to_string(), fits);
        let cut = OneLine(format!("x{}", "é".repeat(1 << 20))).to_string();
        assert_eq!(cut, format!("x{}…", "é".repeat(LIMIT / 2 - 1)));
        let escapes = OneLine("\n".repeat(1 << 20)).to_string();
        assert_eq!(escapes, format!("{}…", r"\n".repeat(LIMIT / 2)));
    }

    #[test]
    fn text_that_is_written_after_the_cut_is_not_shown() {
        struct GoesOn;
        impl fmt::Display for GoesOn {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let _ = f.write_str(&"x".repeat(LIMIT + 1));
                let _ = f.write_str("and more");
                Ok(())
            }
        }
        assert_eq!(OneLine(GoesOn).to_string(), "x".repeat(LIMIT) + "…");
    }
}
