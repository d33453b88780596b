use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_core::de::{self, Deserialize, Deserializer, Visitor};
use serde_core::ser::{Serialize, Serializer};

/// The id of a task: 128 bits in the form of a UUID, made when the task is.
///
/// Displays as a hyphenated UUID in lower case, and parses from one in either case. Logs, spans and reports
/// show it in the same form. It is `Serialize` and `Deserialize`, as text, so `Path<TaskId>` takes it from
/// the path of a request.
///
/// The ids of one process are ordered as their tasks were made.
///
/// An id is no secret: one may follow from another, and logs show them. Before it tells a client about the
/// task of an id, the application must check that this client may ask about it.
///
/// ```
/// use bg_runtime::{Background, TaskId, named};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let handle = Background::global().spawn(named("ping", async {}));
/// let shown = handle.id().to_string();
/// assert_eq!(shown.len(), 36);
/// assert_eq!(shown.parse::<TaskId>()?, handle.id());
/// # Ok(())
/// # }
/// ```
// Two halves, because an alignment of 16 would make everything larger that holds an id. The order of the
// fields is that of the derived `Ord`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    high: u64,
    low: u64,
}

/// Where the hyphens of the text are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const TEXT_LENGTH: usize = 36;

/// In the high half: version 8, whose other bits the application chooses.
const VERSION: u64 = 8 << 12;
const VERSION_MASK: u64 = 0xF << 12;

/// In the low half: the variant of RFC 9562.
const VARIANT: u64 = 0b10 << 62;

impl TaskId {
    /// Returns an id that no other task of this process has had: an `EntryKey` (`run/ledger.rs`) relies on
    /// it to tell a task from the next one in its slot of the books.
    ///
    /// The high half is random, and made once for each process; the low half counts. This takes neither a
    /// clock nor a lock, because each task of each request needs one.
    pub(crate) fn next() -> Self {
        static HIGH: LazyLock<u64> = LazyLock::new(|| (random() & !VERSION_MASK) | VERSION);
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        // The count does not reach the two bits of the variant: 2^62 tasks take a century.
        Self {
            high: *HIGH,
            low: VARIANT | count,
        }
    }

    /// Returns an id for a task that is stored: a UUIDv7, so that the ids of all processes are ordered about as their
    /// tasks were made.
    #[cfg(feature = "durable")]
    pub(crate) fn next_stored() -> Self {
        use std::time::{SystemTime, UNIX_EPOCH};

        const VERSION_7: u64 = 7 << 12;
        const COUNT: u64 = 0xFFF;
        // Tasks of one process and one millisecond are ordered by this.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // From the operating system, because the seeds of two processes may be alike.
        static PROCESS: LazyLock<u64> = LazyLock::new(random);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since.unwrap_or_default().as_millis() as u64;
        let count = NEXT.fetch_add(1, Ordering::Relaxed) & COUNT;
        Self {
            high: millis << 16 | VERSION_7 | count,
            low: VARIANT | (*PROCESS ^ fastrand::u64(..)) >> 2,
        }
    }

    /// Returns the half by which the books tell the tasks of this process apart.
    pub(crate) fn serial(self) -> u64 {
        self.low
    }

    fn nibbles(self) -> impl Iterator<Item = u8> {
        [self.high, self.low].into_iter().flat_map(|half| {
            let shifts = (0..16).rev().map(|nibble| nibble * 4);
            shifts.map(move |shift| (half >> shift & 0xF) as u8)
        })
    }

    /// Writes the text into `buffer`, so that no heap is needed.
    fn encode(self, buffer: &mut [u8; TEXT_LENGTH]) -> &str {
        let mut nibbles = self.nibbles();
        for (at, place) in buffer.iter_mut().enumerate() {
            *place = if HYPHENS.contains(&at) {
                b'-'
            } else {
                let nibble = nibbles.next().expect("32 places are no hyphens");
                b"0123456789abcdef"[usize::from(nibble)]
            };
        }
        std::str::from_utf8(buffer).expect("hexadecimal digits and hyphens are ASCII")
    }
}

/// The keys of a `RandomState` come from the operating system's random numbers.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.encode(&mut [0; TEXT_LENGTH]))
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({self})")
    }
}

impl FromStr for TaskId {
    type Err = ParseTaskIdError;

    /// Parses a hyphenated UUID of any version, such as `2f6f0f0e-3f6a-8c1d-8000-00000000002a`.
    fn from_str(text: &str) -> Result<Self, ParseTaskIdError> {
        // Before the length, which is counted in bytes: another character is the more helpful error.
        for (at, found) in text.chars().enumerate().take(TEXT_LENGTH) {
            let is_right = match HYPHENS.contains(&at) {
                true => found == '-',
                false => found.is_ascii_hexdigit(),
            };
            if !is_right {
                return Err(ParseTaskIdError(Malformed::Character { at, found }));
            }
        }
        if text.len() != TEXT_LENGTH {
            let length = text.chars().count();
            return Err(ParseTaskIdError(Malformed::Length(length)));
        }
        let digits = text.chars().filter_map(|digit| digit.to_digit(16));
        let (mut high, mut low) = (0, 0);
        for (at, digit) in digits.enumerate() {
            let half = if at < 16 { &mut high } else { &mut low };
            *half = *half << 4 | u64::from(digit);
        }
        Ok(Self { high, low })
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.encode(&mut [0; TEXT_LENGTH]))
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = TaskId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id of a task, as text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TaskId, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// The error of text that is not a [`TaskId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTaskIdError(Malformed);

// Not the text itself: it comes from a client most often, and may be long.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Malformed {
    Length(usize),
    Character { at: usize, found: char },
}

impl fmt::Display for ParseTaskIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not the id of a task, which is a hyphenated UUID such as \
             2f6f0f0e-3f6a-8c1d-8000-00000000002a: ",
        )?;
        match self.0 {
            Malformed::Length(length) => {
                write!(f, "it has {length} characters instead of {TEXT_LENGTH}")
            }
            Malformed::Character { at, found } => {
                let expected = match HYPHENS.contains(&at) {
                    true => "a hyphen",
                    false => "a hexadecimal digit",
                };
                write!(f, "character {} is {found:?} instead of {expected}", at + 1)
            }
        }
    }
}

impl Error for ParseTaskIdError {}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn an_id_has_the_version_and_the_variant_of_a_uuid() {
        let shown = TaskId::next().to_string();
        let bytes = shown.as_bytes();
        assert_eq!((bytes.len(), bytes[14]), (36, b'8'), "{shown}");
        assert!(b"89ab".contains(&bytes[19]), "{shown}");
    }

    #[test]
    fn an_id_takes_sixteen_bytes_of_the_alignment_of_a_pointer() {
        assert_eq!((size_of::<TaskId>(), align_of::<TaskId>()), (16, 8));
    }

    #[test]
    fn ids_are_ordered_as_they_were_made() {
        let ids: Vec<_> = (0..100).map(|_| TaskId::next()).collect();
        assert!(ids.is_sorted());
        let texts = ids.iter().map(TaskId::to_string);
        assert!(texts.is_sorted(), "and so is their text");
    }

    #[test]
    fn a_million_ids_of_many_threads_differ_in_both_forms() {
        let threads: Vec<_> = (0..8)
            .map(|_| thread::spawn(|| (0..125_000).map(|_| TaskId::next()).collect::<Vec<_>>()))
            .collect();
        let mut ids = HashSet::new();
        let mut serials = HashSet::new();
        for thread in threads {
            for id in thread.join().unwrap() {
                assert!(ids.insert(id) && serials.insert(id.serial()), "{id}");
            }
        }
        assert_eq!(ids.len(), 1_000_000);
    }

    #[test]
    fn every_uuid_parses_and_shows_itself_in_lower_case() {
        for text in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "01938f1e-7a2b-7c3d-9e4f-0123456789ab",
            "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        ] {
            let id: TaskId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(text.to_uppercase().parse(), Ok(id));
            assert_eq!(format!("{id:?}"), format!("TaskId({text})"));
        }
    }

    #[test]
    fn text_that_is_no_uuid_is_refused_with_the_place_of_the_mistake() {
        let good = "01938f1e-7a2b-7c3d-9e4f-0123456789ab";
        let cases = [
            ("", "it has 0 characters"),
            (&good[..35], "it has 35 characters"),
            (&format!("{good}0"), "it has 37 characters"),
            (&format!(" {good}"), "character 1 is ' '"),
            (&format!("{{{good}}}"), "character 1 is '{'"),
            (
                &good.replace('-', ""),
                "character 9 is '7' instead of a hyphen",
            ),
            (
                &good.replace('f', "g"),
                "character 6 is 'g' instead of a hexadecimal digit",
            ),
            (&good.replace('f', "+"), "character 6 is '+'"),
            (&good.replace('f', "ä"), "character 6 is 'ä'"),
            (&good.replace('f', "１"), "character 6 is '１'"),
            (&format!("{good}\n"), "it has 37 characters"),
            ("\n", r"character 1 is '\n'"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<TaskId>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error:?}");
        }
    }
}
