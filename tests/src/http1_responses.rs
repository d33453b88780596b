//! Reads the HTTP/1.1 responses in what a server writes, just far enough to know where the last
//! byte of each is, whether or not a client ever reads it.

/// A response to `HEAD` has this header, because nothing else in it says that no body follows.
pub const NO_BODY: &str = "x-no-body";

/// Follows one direction of a connection.
#[derive(Debug, Default)]
pub struct Responses {
    seen: u64,
    /// What has been read of the head or of the line that is under way.
    line: Vec<u8>,
    at: At,
    ends: Vec<u64>,
}

#[derive(Debug, Default)]
enum At {
    #[default]
    Head,
    Body {
        left: u64,
    },
    ChunkSize,
    /// Including the line end that follows it.
    Chunk {
        left: u64,
    },
    /// The empty line behind the last chunk.
    LastLine,
    /// Something that is not HTTP/1.1.
    Lost,
}

impl Responses {
    /// Goes on with the next written bytes.
    pub fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match &mut self.at {
                At::Lost => return,
                At::Body { left } | At::Chunk { left } => {
                    let taken = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    *left -= taken as u64;
                    taken
                }
                At::Head => self.take_until(bytes, b"\r\n\r\n"),
                At::ChunkSize | At::LastLine => self.take_until(bytes, b"\r\n"),
            };
            self.seen += taken as u64;
            bytes = &bytes[taken..];
            self.step();
        }
    }

    /// How many bytes the server had written when its response number `nth` was complete, from 0.
    pub fn end_of(&self, nth: usize) -> Option<u64> {
        self.ends.get(nth).copied()
    }

    /// Keeps bytes up to `mark`, or all of them.
    fn take_until(&mut self, bytes: &[u8], mark: &[u8]) -> usize {
        for (taken, byte) in bytes.iter().enumerate() {
            self.line.push(*byte);
            if self.line.ends_with(mark) {
                return taken + 1;
            }
        }
        bytes.len()
    }

    fn step(&mut self) {
        let next = match self.at {
            At::Head if self.line.ends_with(b"\r\n\r\n") => after_head(&self.line),
            At::ChunkSize if self.line.ends_with(b"\r\n") => after_chunk_size(&self.line),
            At::Chunk { left: 0 } => At::ChunkSize,
            At::LastLine if self.line == b"\r\n" => At::Head,
            At::Body { left: 0 } => At::Head,
            // No head and no line is this long.
            At::Head | At::ChunkSize | At::LastLine if self.line.len() > 1 << 16 => At::Lost,
            _ => return,
        };
        self.line = Vec::new();
        let is_over = matches!(next, At::Head | At::Body { left: 0 });
        self.at = if is_over { At::Head } else { next };
        if is_over {
            self.ends.push(self.seen);
        }
    }
}

fn after_head(head: &[u8]) -> At {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("http/1.1 "));
    let Some(status) = status.and_then(|status| status.get(..3)) else {
        return At::Lost;
    };
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let header = |name| headers.iter().find(|header| header.0 == name).map(|h| h.1);
    let no_body = matches!(status, "204" | "304") || header(NO_BODY).is_some();
    if no_body {
        At::Body { left: 0 }
    } else if header("transfer-encoding") == Some("chunked") {
        At::ChunkSize
    } else {
        let length = header("content-length").and_then(|length| length.parse().ok());
        length.map_or(At::Lost, |left| At::Body { left })
    }
}

fn after_chunk_size(line: &[u8]) -> At {
    let size = String::from_utf8_lossy(line);
    match u64::from_str_radix(size.trim_end(), 16) {
        Ok(0) => At::LastLine,
        Ok(size) => At::Chunk { left: size + 2 },
        Err(_) => At::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::Responses;

    #[test]
    fn the_end_of_each_response_is_found_however_the_bytes_are_cut() {
        let responses = [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-no-body: HEAD\r\ncontent-length: 70\r\n\r\n",
            "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 3\r\n\r\nbad",
        ];
        let written = responses.concat();
        for size in 1..=written.len() {
            let mut followed = Responses::default();
            for piece in written.as_bytes().chunks(size) {
                followed.advance(piece);
            }
            let mut end = 0;
            for (nth, response) in responses.iter().enumerate() {
                end += response.len() as u64;
                assert_eq!(followed.end_of(nth), Some(end), "{nth}, pieces of {size}");
            }
            assert_eq!(followed.end_of(responses.len()), None);
        }
    }

    #[test]
    fn an_unfinished_response_has_no_end_and_other_bytes_are_left_alone() {
        let mut unfinished = Responses::default();
        unfinished.advance(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nba");
        assert_eq!(unfinished.end_of(0), None);

        let mut other = Responses::default();
        other.advance(b"\0\0\x12\x04\0\0\0\0\0 something else\r\n\r\nHTTP/1.1 204 x\r\n\r\n");
        assert_eq!(other.end_of(0), None);
    }
}
