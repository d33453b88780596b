//! The keys with which the secrets of stored tasks are sealed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

/// A key for the `#[secret]` arguments of durable tasks: 32 random bytes, which the application keeps where it keeps
/// its other secrets.
///
/// An argument is sealed with XChaCha20-Poly1305, and bound to its task and its parameter: it opens nowhere else. Give
/// the same keys to all processes that share a store. To change the key, put the new one first and keep the old one
/// until no stored task is sealed with it: the first seals, and all open.
///
/// `Debug` and error messages show the key's identifier, which is made from it and tells nothing about it.
///
/// ```
/// use bg_runtime::durable::SecretKey;
///
/// # let bytes_of_the_environment = [7; 32];
/// let key = SecretKey::new(bytes_of_the_environment);
/// assert_eq!(format!("{key:?}"), format!("SecretKey({})", key.id()));
/// ```
#[derive(Clone)]
pub struct SecretKey {
    bytes: [u8; 32],
    id: [u8; 4],
}

impl SecretKey {
    /// Makes a key of these bytes, which are random, and not a password.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"bg-runtime secret key");
        hash.update(bytes);
        let [a, b, c, d, ..] = hash.finalize().0;
        Self {
            bytes,
            id: [a, b, c, d],
        }
    }

    /// The key's identifier: eight hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.bytes.into())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id())
    }
}

/// The keys of a store. The first seals, and all open.
#[derive(Debug, Clone, Default)]
pub(crate) struct SecretKeys(Arc<[SecretKey]>);

impl FromIterator<SecretKey> for SecretKeys {
    fn from_iter<I: IntoIterator<Item = SecretKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// Whose secret it is. What is sealed in one place opens in no other, so that nobody who can write to the store can
/// have one task report the secret of another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaceOfSecret<'a> {
    pub(crate) task: &'a str,
    pub(crate) parameter: &'a str,
}

impl PlaceOfSecret<'_> {
    /// The length keeps the two names apart.
    fn associated_data(self) -> Vec<u8> {
        let length = (self.task.len() as u64).to_le_bytes();
        let parts = [&length, self.task.as_bytes(), self.parameter.as_bytes()];
        parts.concat()
    }
}

const NONCE_LENGTH: usize = 24;

impl SecretKeys {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `<identifier of the key>:<nonce and ciphertext in base64>`.
    pub(crate) fn seal(&self, text: &str, place: PlaceOfSecret<'_>) -> Result<String, SealError> {
        let key = self.0.first().ok_or(SealError::NoKey)?;
        let mut sealed = vec![0; NONCE_LENGTH];
        getrandom::fill(&mut sealed).map_err(SealError::Random)?;
        let nonce = XNonce::try_from(sealed.as_slice()).map_err(|_| SealError::TooLong)?;
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &place.associated_data(),
        };
        let text = key.cipher().encrypt(&nonce, payload);
        sealed.extend(text.map_err(|_| SealError::TooLong)?);
        let sealed = STANDARD_NO_PAD.encode(sealed);
        Ok(format!("{}:{sealed}", key.id()))
    }

    /// Opens what [`seal`](Self::seal) returned for one of the places.
    pub(crate) fn open(
        &self,
        sealed: &str,
        places: &[PlaceOfSecret<'_>],
    ) -> Result<String, OpenError> {
        let (id, sealed) = sealed.split_once(':').ok_or(OpenError::Malformed)?;
        let is_id = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sealed = STANDARD_NO_PAD.decode(sealed);
        let sealed = sealed.ok().filter(|_| is_id).ok_or(OpenError::Malformed)?;
        let (nonce, sealed) = sealed
            .split_at_checked(NONCE_LENGTH)
            .ok_or(OpenError::Malformed)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| OpenError::Malformed)?;
        let mut keys = self.0.iter().filter(|key| key.id() == id).peekable();
        if keys.peek().is_none() {
            return Err(OpenError::OtherKey(id.to_owned()));
        }
        let opened = keys.find_map(|key| {
            places.iter().find_map(|place| {
                let payload = Payload {
                    msg: sealed,
                    aad: &place.associated_data(),
                };
                key.cipher().decrypt(&nonce, payload).ok()
            })
        });
        let opened = opened.ok_or_else(|| OpenError::Changed(id.to_owned()))?;
        String::from_utf8(opened).map_err(|_| OpenError::Malformed)
    }
}

/// Why a secret could not be sealed.
#[derive(Debug)]
pub(crate) enum SealError {
    NoKey,
    Random(getrandom::Error),
    TooLong,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str(
                "it is `#[secret]`, and the store has no key: give it one with `secret_keys`, or write \
                 `#[secret(stored_in_clear)]`",
            ),
            Self::Random(error) => write!(f, "the system has no random numbers: {error}"),
            Self::TooLong => f.write_str("it is too long to be encrypted"),
        }
    }
}

impl Error for SealError {}

/// Why a sealed secret could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    Malformed,
    /// With the identifier of the key that would open it.
    OtherKey(String),
    /// With the identifier of the key that it says.
    Changed(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is marked as sealed, and is not what a key seals"),
            Self::OtherKey(id) => write!(
                f,
                "it is sealed with the key {id}, which is not among the store's `secret_keys`"
            ),
            Self::Changed(id) => write!(
                f,
                "the key {id} does not open it: it was changed, or sealed for another task or parameter"
            ),
        }
    }
}

impl Error for OpenError {}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    const PLACE: PlaceOfSecret<'static> = PlaceOfSecret {
        task: "codes.send",
        parameter: "code",
    };

    fn keys(bytes: impl IntoIterator<Item = u8>) -> SecretKeys {
        let keys = bytes.into_iter().map(|byte| SecretKey::new([byte; 32]));
        keys.collect()
    }

    fn open(keys: &SecretKeys, sealed: &str, place: PlaceOfSecret<'_>) -> Result<String, String> {
        let opened = keys.open(sealed, &[place]);
        opened.map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_shows_its_identifier_and_nothing_else() {
        let key = SecretKey::new([7; 32]);
        assert_eq!(format!("{key:?}"), format!("SecretKey({})", key.id()));
        assert_eq!(key.id().len(), 8);
        assert_ne!(key.id(), SecretKey::new([8; 32]).id());
        // Stored tasks name it: it never changes.
        assert_eq!(key.id(), "df8051e1");
    }

    /// P-DURABLE-25
    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let sealed = keys([1, 2]).seal("4711", PLACE).unwrap();
        assert!(sealed.starts_with(&SecretKey::new([1; 32]).id()));
        assert!(!sealed.contains("4711"));
        assert_eq!(open(&keys([2, 1]), &sealed, PLACE).as_deref(), Ok("4711"));
        let again = keys([1]).seal("4711", PLACE).unwrap();
        assert_ne!(sealed, again, "each has a nonce of its own");
    }

    #[test]
    fn without_its_key_a_secret_stays_closed_and_names_the_key() {
        let sealed = keys([1]).seal("4711", PLACE).unwrap();
        let error = open(&keys([2]), &sealed, PLACE).unwrap_err();
        assert!(
            error.contains(&SecretKey::new([1; 32]).id()) && error.contains("secret_keys"),
            "{error}"
        );
        assert!(open(&keys([]), &sealed, PLACE).is_err());
        assert!(keys([]).is_empty() && keys([]).seal("4711", PLACE).is_err());
    }

    /// P-DURABLE-25
    #[test]
    fn a_secret_opens_in_its_own_place_alone() {
        let sealed = keys([1]).seal("4711", PLACE).unwrap();
        for (task, parameter) in [
            ("codes.send", "other"),
            ("codes.other", "code"),
            ("codes.sen", "dcode"),
            ("", "codes.sendcode"),
        ] {
            let error = open(&keys([1]), &sealed, PlaceOfSecret { task, parameter }).unwrap_err();
            assert!(error.contains("another task or parameter"), "{error}");
        }
    }

    #[test]
    fn a_changed_secret_is_an_error_wherever_it_was_changed() {
        let keys = keys([1]);
        let sealed = keys.seal("4711", PLACE).unwrap();
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(open(&keys, &changed, PLACE).is_err(), "{changed}");
            assert!(open(&keys, &sealed[..at], PLACE).is_err());
        }
        for text in ["", ":", "x", "::::", "ÄÖÜäöüß:", "00000000:="] {
            assert!(open(&keys, text, PLACE).is_err());
        }
    }
}
