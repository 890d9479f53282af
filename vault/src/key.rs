//! The key of a vault, and what is derived from it: one key that seals values, another that blinds names.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac};
use rand::{RngCore as _, rngs::OsRng};
use sha2::Sha256;

use crate::{VaultError, store::Moment};

/// The length of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// 192 bits: random ones do not repeat, whatever the number of values.
const NONCE_BYTES: usize = 24;
/// The first byte of what is sealed in this way; another way will have another.
const SEALED_V1: u8 = 1;
/// What the check entry is sealed for: no entry has this name.
const CHECK: &str = "key check";

/// The secret that a vault is made with. It prints nothing of itself.
#[derive(Clone)]
pub struct VaultKey([u8; KEY_BYTES]);

impl VaultKey {
    /// A key of these bytes, which must be random.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a key of 32 bytes in base64, as [`VaultKey::to_base64`] writes it; blanks around it do not count.
    ///
    /// # Errors
    /// [`VaultError::NotAKey`], which does not repeat the text.
    pub fn from_base64(text: &str) -> Result<Self, VaultError> {
        let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|_| VaultError::NotAKey)?;
        bytes.try_into().map(Self).map_err(|_| VaultError::NotAKey)
    }

    /// A new key from the system's source of randomness.
    pub fn generate() -> Self {
        let mut bytes = [0; KEY_BYTES];
        OsRng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The key in base64, to be kept in a file that only its owner can read.
    pub fn to_base64(&self) -> String {
        BASE64_STANDARD.encode(self.0)
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<vault key>")
    }
}

/// What is derived from a vault key.
pub(crate) struct Keyring {
    cipher: XChaCha20Poly1305,
    /// The key that blinds names. It outlives the vault's key, because the names do: once that was replaced, it is kept with
    /// the mark of the vault, and known here when the vault was opened.
    blinding: RwLock<[u8; KEY_BYTES]>,
    /// The check entry by which the vault was last known to have this key. Every change is made only while the vault still has
    /// it: whoever replaces the key replaces it too.
    mark: RwLock<Arc<[u8]>>,
}

impl Keyring {
    /// One key for each use: what is learnt from one says nothing about the other. HMAC-SHA256 of a label under a random key is
    /// HKDF-Expand (RFC 5869) for one block, up to its counter.
    pub fn new(key: &VaultKey) -> Self {
        let derive = |label: &str| keyed(&key.0).chain_update(label.as_bytes()).finalize().into_bytes();
        let cipher = XChaCha20Poly1305::new(&derive("daybook vault: seal values, 1"));
        let blinding = RwLock::new(derive("daybook vault: blind names, 1").into());
        Self { cipher, blinding, mark: RwLock::default() }
    }

    /// What seals with another key and blinds as before.
    pub fn with_another_key(&self, key: &VaultKey) -> Arc<Self> {
        let another = Self::new(key);
        another.blind_with(self.blinding_key());
        Arc::new(another)
    }

    fn blinding_key(&self) -> [u8; KEY_BYTES] {
        *self.blinding.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn blind_with(&self, key: [u8; KEY_BYTES]) {
        *self.blinding.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// Encrypts a value. It opens only under the name and the end that it was sealed for: whoever can write the database can
    /// neither move a value to another name nor let it live longer.
    pub fn seal(&self, name: &str, expires_at: Option<Moment>, value: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        OsRng.fill_bytes(&mut nonce);
        let bound = bound(name, expires_at);
        let encrypted = self.cipher.encrypt(&XNonce::from(nonce), Payload { msg: value, aad: &bound }).ok()?;
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + encrypted.len());
        sealed.push(SEALED_V1);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&encrypted);
        Some(sealed)
    }

    /// Decrypts a value; none if it was not sealed with this key for this name and end.
    pub fn open(&self, name: &str, expires_at: Option<Moment>, sealed: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if *version != SEALED_V1 {
            return None;
        }
        let bound = bound(name, expires_at);
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: encrypted, aad: &bound }).ok()
    }

    /// What a vault keeps to recognise its key by, with the key that blinds its names.
    pub fn check_entry(&self) -> Option<Vec<u8>> {
        self.seal(CHECK, None, &[CHECK.as_bytes(), &self.blinding_key()].concat())
    }

    /// Whether a vault with this check entry was made with this key, or given it. Its names are blinded as it says from then on.
    pub fn fits(&self, check_entry: &[u8]) -> bool {
        let Some(opened) = self.open(CHECK, None, check_entry) else { return false };
        let fits = match opened.strip_prefix(CHECK.as_bytes()) {
            // An older vault, whose key was never replaced.
            Some([]) => true,
            Some(kept) => kept.try_into().map(|key| self.blind_with(key)).is_ok(),
            None => false,
        };
        if fits {
            *self.mark.write().unwrap_or_else(PoisonError::into_inner) = check_entry.into();
        }
        fits
    }

    /// The check entry that the vault must still have whenever something sealed here is written to it.
    pub fn mark(&self) -> Arc<[u8]> {
        Arc::clone(&self.mark.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A keyed fingerprint, in hexadecimal.
    pub fn blind(&self, purpose: &str, text: &str) -> String {
        // The length keeps purpose and text apart: ("ab", "c") is not ("a", "bc").
        let mac = keyed(&self.blinding_key()).chain_update((purpose.len() as u64).to_be_bytes());
        let digest = mac.chain_update(purpose.as_bytes()).chain_update(text.as_bytes()).finalize().into_bytes();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// An HMAC under a key of the length of a block or less.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    // HMAC pads a short key with zeros itself (RFC 2104), so this is the same key; unlike `new_from_slice` it cannot fail.
    <Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into())
}

/// The associated data of a value.
fn bound(name: &str, expires_at: Option<Moment>) -> Vec<u8> {
    // A name has no NUL.
    let end = expires_at.map(|moment| moment.to_string()).unwrap_or_default();
    format!("{name}\0{end}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(byte: u8) -> Keyring {
        Keyring::new(&VaultKey::from_bytes([byte; KEY_BYTES]))
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_nothing_else_is_a_key() {
        let key = VaultKey::generate();
        assert_eq!(VaultKey::from_base64(&format!("{}\n", key.to_base64())).unwrap().0, key.0);
        assert_ne!(VaultKey::generate().0, key.0);
        for text in ["", "short", "AAAA", &BASE64_STANDARD.encode([0; 31]), &BASE64_STANDARD.encode([0; 33]), "s3cret key !"] {
            let error = VaultKey::from_base64(text).unwrap_err();
            assert_eq!(error, VaultError::NotAKey);
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
        assert_eq!(format!("{key:?}"), "<vault key>");
    }

    #[test]
    fn a_value_opens_only_with_its_key_under_its_name_until_its_end_and_unchanged() {
        let (ours, other) = (keyring(1), keyring(2));
        let sealed = ours.seal("a/1", Some(7), b"secret").unwrap();
        assert_eq!(ours.open("a/1", Some(7), &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(other.open("a/1", Some(7), &sealed), None);
        assert_eq!(ours.open("a/2", Some(7), &sealed), None);
        for end in [None, Some(8)] {
            assert_eq!(ours.open("a/1", end, &sealed), None);
        }
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(ours.open("a/1", Some(7), &changed), None, "byte {place}");
        }
        for length in 0..sealed.len() {
            assert_eq!(ours.open("a/1", Some(7), &sealed[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_in_the_same_way() {
        let ours = keyring(1);
        assert_ne!(ours.seal("a/1", None, b"secret"), ours.seal("a/1", None, b"secret"));
    }

    #[test]
    fn another_key_seals_in_another_way_and_blinds_as_before() {
        let (old, new) = (keyring(1), keyring(1).with_another_key(&VaultKey::from_bytes([2; KEY_BYTES])));
        assert_eq!(new.blind("email", "ana@example.com"), old.blind("email", "ana@example.com"));
        assert_eq!(old.open("a/1", None, &new.seal("a/1", None, b"secret").unwrap()), None);
        // Whoever opens the vault with the new key learns how it blinds; one that never had another key is still known.
        let mark = new.check_entry().unwrap();
        let opened = keyring(2);
        assert_ne!(opened.blind("email", "a"), old.blind("email", "a"));
        assert!(opened.fits(&mark) && !keyring(1).fits(&mark) && !keyring(3).fits(&mark));
        assert_eq!(*opened.mark(), *mark);
        assert_eq!(opened.blind("email", "a"), old.blind("email", "a"));
        let older = old.seal(CHECK, None, CHECK.as_bytes()).unwrap();
        assert!(keyring(1).fits(&older));
    }

    #[test]
    fn blinding_depends_on_the_key_the_purpose_and_the_text() {
        let ours = keyring(1);
        let blinded = ours.blind("email", "ana@example.com");
        assert_eq!(blinded, ours.blind("email", "ana@example.com"));
        assert!(blinded.len() == 64 && blinded.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let others = [
            keyring(2).blind("email", "ana@example.com"),
            ours.blind("code", "ana@example.com"),
            ours.blind("email", "ben@example.com"),
            ours.blind("emaila", "na@example.com"),
        ];
        assert!(others.iter().all(|other| *other != blinded));
    }

    /// Test case 2 of RFC 4231.
    #[test]
    fn the_hmac_is_that_of_the_standard() {
        let mac = keyed(b"Jefe").chain_update(b"what do ya want for nothing?").finalize().into_bytes();
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
