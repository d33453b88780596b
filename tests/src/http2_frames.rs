//! HTTP/2 frames: written by hand for clients that do what no library would, and read in what a server
//! writes, just far enough to know where the last byte of each response is.

use std::collections::HashMap;

/// The first bytes of a connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A type of frames: a part of a body.
pub const DATA: u8 = 0x0;
/// A type of frames: a head.
pub const HEADERS: u8 = 0x1;
/// A type of frames: the end of a stream before its time.
pub const RST_STREAM: u8 = 0x3;
/// A type of frames: what a side asks of the other.
pub const SETTINGS: u8 = 0x4;

/// A flag of [`DATA`] and [`HEADERS`]: nothing follows on this stream.
pub const END_STREAM: u8 = 0x1;
/// A flag of [`HEADERS`]: the head is complete.
pub const END_HEADERS: u8 = 0x4;

const HEADER_LEN: usize = 9;

/// A frame as it is on the wire.
///
/// # Panics
///
/// If the payload is longer than a frame may be.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The request for `path` on a stream, whole. The head is of literals that no table keeps, under names of
/// the static table.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    const METHOD_GET: u8 = 0x82;
    const SCHEME_HTTP: u8 = 0x86;
    const PATH: u8 = 4;
    let length = u8::try_from(path.len()).expect("a short path");
    assert!(length < 127, "a length that takes one byte");
    let mut block = vec![METHOD_GET, SCHEME_HTTP, PATH, length];
    block.extend(path.bytes());
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

/// Follows the frames of one direction of a connection.
#[derive(Debug, Default)]
pub struct Frames {
    seen: u64,
    header: Vec<u8>,
    payload_left: usize,
    ends: HashMap<u32, u64>,
}

impl Frames {
    /// Goes on with the next written bytes.
    pub fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.header.len() < HEADER_LEN {
                let taken = bytes.len().min(HEADER_LEN - self.header.len());
                self.header.extend_from_slice(&bytes[..taken]);
                bytes = self.past(bytes, taken);
                if self.header.len() < HEADER_LEN {
                    break;
                }
                let length = [0, self.header[0], self.header[1], self.header[2]];
                self.payload_left = u32::from_be_bytes(length) as usize;
            } else {
                let taken = bytes.len().min(self.payload_left);
                self.payload_left -= taken;
                bytes = self.past(bytes, taken);
            }
            if self.payload_left == 0 {
                self.finish_frame();
            }
        }
    }

    /// How many bytes the server had written when the response on `stream` was complete.
    pub fn end_of(&self, stream: u32) -> Option<u64> {
        self.ends.get(&stream).copied()
    }

    fn past<'a>(&mut self, bytes: &'a [u8], taken: usize) -> &'a [u8] {
        self.seen += taken as u64;
        &bytes[taken..]
    }

    fn finish_frame(&mut self) {
        let (kind, flags) = (self.header[3], self.header[4]);
        let stream = self.header[5..].try_into().expect("four bytes");
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            self.ends.insert(stream, self.seen);
        }
        self.header.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, frame};

    #[test]
    fn the_end_of_a_response_is_found_however_the_bytes_are_cut() {
        let written = [
            frame(4, 0, 0, &[]),
            frame(1, 4, 1, b"head"),
            frame(0, 0, 1, b"bo"),
            frame(1, 5, 3, b"only a head"),
            frame(0, 1, 1, b"dy"),
            frame(0, 1, 5, b""),
        ]
        .concat();
        for size in 1..written.len() {
            let mut frames = Frames::default();
            for piece in written.chunks(size) {
                frames.advance(piece);
            }
            assert_eq!(frames.end_of(3), Some(9 + 13 + 11 + 20));
            assert_eq!(frames.end_of(1), Some(9 + 13 + 11 + 20 + 11));
            assert_eq!(frames.end_of(5), Some(written.len() as u64));
            assert_eq!(frames.end_of(7), None);
        }
    }
}
