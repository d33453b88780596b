//! The HTTP/1.1 messages in what passes over a connection.

/// Finds the HTTP/1.1 messages in one direction of a connection. Knows only bodies that have a
/// `content-length`, which is all that the examples send.
#[derive(Default)]
pub(crate) struct Messages {
    unread: Vec<u8>,
    illegible: bool,
}

impl Messages {
    const LONGEST: usize = 64 * 1024;

    pub(crate) fn read(&mut self, bytes: &[u8], mut show: impl FnMut(&str)) {
        if self.illegible {
            return;
        }
        self.unread.extend_from_slice(bytes);
        while let Some((message, length)) = first_message(&self.unread) {
            show(&message);
            self.unread.drain(..length);
        }
        if self.unread.len() > Self::LONGEST {
            *self = Self {
                unread: Vec::new(),
                illegible: true,
            };
        }
    }
}

/// The first line of a whole message with its body, and the length of the message.
fn first_message(bytes: &[u8]) -> Option<(String, usize)> {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    let end = bytes
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().replace("HTTP/1.1", "");
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse().ok())?;

    let begin = end + END_OF_HEAD.len();
    let body = bytes.get(begin..begin + length)?;
    let body = String::from_utf8_lossy(body);
    let message = format!("{} {}", first.trim(), body.trim());
    Some((message.trim().to_owned(), begin + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut messages = Messages::default();
        let mut shown = Vec::new();
        for piece in pieces {
            messages.read(piece, |message| shown.push(message.to_owned()));
        }
        shown
    }

    #[test]
    fn messages_are_shown_once_they_are_whole_however_they_are_cut() {
        let bytes =
            b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /b HTTP/1.1\r\nhost: c\r\n\r\n";
        let expected = ["POST /a {}", "GET /b"];
        assert_eq!(shown([bytes.as_slice()]), expected);
        assert_eq!(shown(bytes.chunks(1)), expected);
        assert_eq!(shown([&bytes[..bytes.len() - 1]]), expected[..1]);
    }

    #[test]
    fn bytes_that_are_not_http_1_are_given_up() {
        let mut messages = Messages::default();
        messages.read(&[0; Messages::LONGEST + 1], |_| {});
        messages.read(b"GET / HTTP/1.1\r\n\r\n", |message| panic!("{message}"));
        assert!(messages.unread.is_empty());
    }
}
