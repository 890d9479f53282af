//! One-time codes by time (TOTP, RFC 6238), as authenticator apps show them: SHA-1, six digits, a new one every 30 seconds.

use std::fmt;

use event_schemas::Timestamp;
use qrcode::{QrCode, render::svg};
use rand::{RngCore, rngs::OsRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use subtle::ConstantTimeEq;
use totp_rs::{Algorithm, Secret, TOTP};

use crate::proof::ProofError;

/// How long a code is shown, in seconds.
const STEP_SECONDS: u64 = 30;
/// Digits of a code.
const DIGITS: usize = 6;
/// How many steps a device's clock may be off, either way.
const DRIFT_STEPS: u64 = 1;
/// RFC 4226 asks for at least 16 bytes and recommends 20, the length of the hash.
const SECRET_BYTES: usize = 20;

/// What the shop and somebody's authenticator app share. Serialised as base 32, and never printed.
#[derive(Clone)]
pub struct TotpSecret(Vec<u8>);

/// What a person needs to put a secret into an app. It is shown once, and gives the secret away.
pub struct Enrolment {
    /// The `otpauth://` address, for a device that opens it by itself.
    pub uri: String,
    /// The same address as a picture: a QR code in SVG, without scripts or style sheets.
    pub qr_svg: String,
    /// The secret in base 32, to type in.
    pub secret: String,
}

impl TotpSecret {
    /// A new secret, from the random numbers of the operating system.
    pub fn generate() -> Self {
        let mut bytes = vec![0; SECRET_BYTES];
        OsRng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// How to put the secret into an app, which will show it under the shop's name and the account's (an e-mail address).
    ///
    /// # Errors
    /// [`ProofError::Setup`] if a name has a colon, which the address uses between the two, or is too long for a QR code.
    pub fn enrolment(&self, issuer: &str, account: &str) -> Result<Enrolment, ProofError> {
        let setup = |error: &dyn fmt::Display| ProofError::Setup(format!("no code can be made for an app: {error}"));
        let totp =
            TOTP::new(Algorithm::SHA1, DIGITS, 0, STEP_SECONDS, self.0.clone(), Some(issuer.to_owned()), account.to_owned())
                .map_err(|error| setup(&error))?;
        let uri = totp.get_url();
        let code = QrCode::new(&uri).map_err(|error| setup(&error))?;
        let qr_svg = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
        Ok(Enrolment { uri, qr_svg, secret: totp.get_secret_base32() })
    }

    /// The step that the code belongs to, if it is right now or was within the drift allowed; spaces are ignored.
    ///
    /// `last_step` is the step of the last code that was taken. A code of that step or an earlier one is refused, so that nobody
    /// who saw a code can use it again (RFC 6238, section 5.2): keep the answer in the same write that lets somebody in.
    pub fn check(&self, code: &str, now: Timestamp, last_step: Option<u64>) -> Option<u64> {
        let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
        if code.len() != DIGITS {
            return None;
        }
        let current = u64::try_from(now.timestamp()).ok()? / STEP_SECONDS;
        let totp = TOTP::new_unchecked(Algorithm::SHA1, DIGITS, 0, STEP_SECONDS, self.0.clone(), None, String::new());
        (current.saturating_sub(DRIFT_STEPS)..=current + DRIFT_STEPS)
            .filter(|step| last_step.is_none_or(|last| *step > last))
            .find(|step| bool::from(totp.generate(step * STEP_SECONDS).as_bytes().ct_eq(code.as_bytes())))
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Serialize for TotpSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Secret::Raw(self.0.clone()).to_encoded())
    }
}

impl<'de> Deserialize<'de> for TotpSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The error of the library quotes the text, which is the secret.
        Secret::Encoded(text).to_bytes().map(Self).map_err(|_| D::Error::custom("a secret that is not base 32"))
    }
}
