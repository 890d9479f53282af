//! Keys and signatures of signed notes (<https://c2sp.org/signed-note>), with Ed25519.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature as Ed25519Signature, Signer as _, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// How a signature line begins.
pub(crate) const MARK: &str = "— ";

/// How a signing key begins, as text.
const PRIVATE: &str = "PRIVATE+KEY+";

/// The type of an Ed25519 key.
const ED25519: u8 = 1;

/// Why a key cannot be used, or a note not be believed. None of them repeats a signing key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key must have a name without spaces and `+`.
    #[error("`{0}` cannot be the name of a key: it must have a character, and no space and no `+`")]
    Name(String),
    /// It is not a verifier key.
    #[error("`{0}` is no Ed25519 verifier key, which reads NAME+ID+KEY")]
    VerifierKey(String),
    /// It is not a signing key.
    #[error("it is no Ed25519 signing key, which reads PRIVATE+KEY+NAME+ID+SEED")]
    SigningKey,
    /// It is not a signed note with a checkpoint in it.
    #[error("it is no signed checkpoint: {0}")]
    Unreadable(&'static str),
    /// None of the keys that are known signed it.
    #[error("it is not signed with a key that is known here, but by {0}")]
    UnknownKey(String),
    /// It says that a known key signed it, and that is not so.
    #[error("the signature of {0} is wrong")]
    WrongSignature(String),
    /// A known key signed it that does not sign heads of that size.
    #[error("the key {key} does not sign heads of {size} events")]
    OutOfPeriod {
        /// The key.
        key: String,
        /// How many events the head has.
        size: u64,
    },
    /// A known key of another log signed it.
    #[error("the key {key} speaks for its own log, not for {origin}")]
    Origin {
        /// The name of the key.
        key: String,
        /// What the checkpoint is about.
        origin: String,
    },
}

/// A key that signs the heads of a log. Its name is the origin of their checkpoints.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

/// The public half of a [`SigningKey`], printed and read as `NAME+ID+KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

/// A signature line: who signed, with which key, and the signature itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let is_wrong = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(is_wrong) { Err(NoteError::Name(name.to_owned())) } else { Ok(()) }
}

/// Reads `NAME+ID+KEY`, where the key is its type and 32 bytes.
fn parts(text: &str) -> Option<(&str, &str, [u8; 32])> {
    let mut parts = text.splitn(3, '+');
    let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = BASE64_STANDARD.decode(key).ok()?;
    let (&ED25519, key) = bytes.split_first()? else { return None };
    Some((name, id, key.try_into().ok()?))
}

fn print(name: &str, id: [u8; 4], key: &[u8; 32]) -> String {
    let bytes = [&[ED25519][..], key].concat();
    format!("{name}+{:08x}+{}", u32::from_be_bytes(id), BASE64_STANDARD.encode(bytes))
}

impl SigningKey {
    /// The key of that name and seed.
    ///
    /// # Errors
    /// [`NoteError::Name`]
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(&seed) })
    }

    /// A new key of that name.
    ///
    /// # Errors
    /// [`NoteError::Name`]
    pub fn generate(name: &str) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: ed25519_dalek::SigningKey::generate(&mut rand::rngs::OsRng) })
    }

    /// Reads what [`SigningKey::to_text`] printed.
    ///
    /// # Errors
    /// [`NoteError::SigningKey`]
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, id, seed) = text.trim().strip_prefix(PRIVATE).and_then(parts).ok_or(NoteError::SigningKey)?;
        let key = Self::new(name, seed).map_err(|_| NoteError::SigningKey)?;
        let is_whole = id == format!("{:08x}", u32::from_be_bytes(key.verifier().id()));
        if is_whole { Ok(key) } else { Err(NoteError::SigningKey) }
    }

    /// The key as text, to be kept secret: `PRIVATE+KEY+NAME+ID+SEED`, as the `note` tools of Go write it.
    pub fn to_text(&self) -> String {
        format!("{PRIVATE}{}", print(&self.name, self.verifier().id(), &self.seed()))
    }

    /// The seed, to be kept secret.
    pub fn seed(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Its name, which is the origin of what it signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What others need to check what it signs.
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// A text, which must end with a line break, as a signed note.
    pub(crate) fn sign(&self, text: &str) -> String {
        let id = self.verifier().id();
        let signature = [&id[..], &self.key.sign(text.as_bytes()).to_bytes()].concat();
        format!("{text}\n{MARK}{} {}\n", self.name, BASE64_STANDARD.encode(signature))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier())
    }
}

impl VerifierKey {
    /// Its name, which is the origin of what it speaks for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of a hash over name and key, by which a signature says whose it is.
    pub(crate) fn id(&self) -> [u8; 4] {
        let hash = Sha256::new().chain_update(&self.name).chain_update([b'\n', ED25519]).chain_update(self.key.as_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        [a, b, c, d]
    }

    /// Whether a signature says that it is of this key.
    pub(crate) fn is_of(&self, signature: &Signature) -> bool {
        signature.name == self.name && signature.id == self.id()
    }

    /// Whether a signature of this key over a text is right.
    pub(crate) fn holds(&self, text: &str, signature: &Signature) -> bool {
        let signature = Ed25519Signature::from_slice(&signature.bytes);
        signature.is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(&self.name, self.id(), self.key.as_bytes()))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let text = text.trim();
        let wrong = || NoteError::VerifierKey(text.to_owned());
        // A signing key that was given by mistake is not repeated.
        if text.starts_with("PRIVATE+") {
            return Err(NoteError::VerifierKey("PRIVATE+…".to_owned()));
        }
        let (name, id, key) = parts(text).ok_or_else(wrong)?;
        check_name(name)?;
        let key = Self { name: name.to_owned(), key: VerifyingKey::from_bytes(&key).map_err(|_| wrong())? };
        if id == format!("{:08x}", u32::from_be_bytes(key.id())) { Ok(key) } else { Err(wrong()) }
    }
}

impl Signature {
    /// Reads a signature line without its line break. No kind of signature that notes have is shorter than one of Ed25519: a
    /// shorter one was cut off.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix(MARK)?.split_once(' ')?;
        check_name(name).ok()?;
        let bytes = BASE64_STANDARD.decode(signature).ok()?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        (bytes.len() >= Ed25519Signature::BYTE_SIZE).then(|| Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }

    /// Whose it says it is.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_what_they_print_and_nothing_that_was_changed() {
        let key = SigningKey::new("daybook/0197", [7; 32]).unwrap();
        let (public, private) = (key.verifier().to_string(), key.to_text());
        assert_eq!(public.parse::<VerifierKey>().as_ref(), Ok(&key.verifier()));
        assert_eq!(SigningKey::parse(&format!("{private}\n")).unwrap().seed(), [7; 32]);
        for (at, _) in public.char_indices() {
            let mut changed = public.clone();
            changed.replace_range(at..=at, if public[at..].starts_with('x') { "y" } else { "x" });
            assert_ne!(changed.parse().as_ref(), Ok(&key.verifier()), "{changed}");
        }
        let message = private.parse::<VerifierKey>().unwrap_err().to_string();
        assert!(!message.contains(private.rsplit('+').next().unwrap()), "{message}");
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
            assert_eq!(SigningKey::new(name, [7; 32]).unwrap_err(), NoteError::Name(name.to_owned()));
        }
    }
}
