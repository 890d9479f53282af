//! Random secrets and their hashes.
//!
//! A secret of 256 random bits is kept as its SHA-256: nobody guesses it, so there is nothing that a slow hash would slow down.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::{RngCore as _, rngs::OsRng};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 256 random bits in hexadecimal, for tokens with parts between `_`.
pub(crate) fn random_hex() -> String {
    hex(&random())
}

/// 256 random bits as 43 characters that need no escape in a URL, for links.
pub(crate) fn random_code() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random())
}

/// The hash of a random secret, in hexadecimal.
pub(crate) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// Whether both are the same, in a time that does not tell where they differ.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
