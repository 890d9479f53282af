//! Recovery codes: what lets somebody in who has lost their authenticator. Ten codes, shown once, each good for one login.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use rand::{RngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How many codes a set has.
const CODES: usize = 10;
/// Digits of a code, of 5 bits each.
const DIGITS: u32 = 10;
/// Crockford's base 32: no letter that is easily taken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The hashes of the codes that are left.
///
/// The hash is SHA-256 and not one made to be slow, as passwords need. A code is 50 random bits, which nobody guesses through
/// the login and its lockout. Against a thief of these hashes a slow one would win nothing: they are kept in the same encrypted
/// document as the TOTP secret that the codes stand in for. And it would let a stranger keep the shop busy with wrong codes.
#[derive(Clone, Serialize, Deserialize)]
pub struct RecoveryCodes(Vec<String>);

impl RecoveryCodes {
    /// A new set, and the codes themselves (`4k9wt-0zxpm`), which are told to their owner once and kept nowhere.
    pub fn generate() -> (Self, Vec<String>) {
        let codes: Vec<String> = (0..CODES).map(|_| new_code()).collect();
        (Self(codes.iter().map(|code| hash(code)).collect()), codes)
    }

    /// Whether the code is one that is left; if so, it is not any more. Case, spaces and hyphens do not matter.
    pub fn spend(&mut self, code: &str) -> bool {
        let hash = hash(code);
        let found = self.0.iter().position(|kept| bool::from(kept.as_bytes().ct_eq(hash.as_bytes())));
        found.map(|index| self.0.remove(index)).is_some()
    }

    /// How many codes are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} recovery codes>", self.0.len())
    }
}

fn new_code() -> String {
    let bits = OsRng.next_u64();
    let digit = |place: u32| char::from(ALPHABET[(bits >> (5 * place) & 31) as usize]);
    let group = |first: u32| (first..first + DIGITS / 2).map(digit).collect::<String>();
    format!("{}-{}", group(0), group(DIGITS / 2))
}

/// The hash of a code as people may write it: `O` for `0`, `I` or `L` for `1`, in capitals, with or without the hyphen.
fn hash(code: &str) -> String {
    let digits = code.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').map(|letter| match letter {
        'o' | 'O' => '0',
        'i' | 'I' | 'l' | 'L' => '1',
        other => other.to_ascii_lowercase(),
    });
    STANDARD_NO_PAD.encode(Sha256::digest(digits.collect::<String>()))
}
