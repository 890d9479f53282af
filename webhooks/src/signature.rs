//! Signatures of the Standard Webhooks specification 1.0, scheme `v1`: HMAC-SHA256 under a secret that both sides have.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use event_schemas::Timestamp;
use hmac::{Hmac, Mac};
use rand::{RngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How a secret begins, so that it is known for what it is wherever it turns up.
const PREFIX: &str = "whsec_";
/// Random bytes of a new secret; the specification asks for 24 to 64.
const BYTES: usize = 32;

/// A signing secret, as the receiver has it: `whsec_` and base64. Log lines never show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A new one, from the operating system's random source.
    pub fn generate() -> Self {
        let mut bytes = [0; BYTES];
        OsRng.fill_bytes(&mut bytes);
        Self(format!("{PREFIX}{}", STANDARD.encode(bytes)))
    }

    /// Reads one; none if it is not `whsec_` and 24 to 64 bytes in base64.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self(text.to_owned()))
    }

    /// The secret in words, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn key(&self) -> Vec<u8> {
        // What was not made by us or read by `parse` gives an empty key, which no receiver has.
        self.0.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The value of `webhook-signature`: one signature per secret, with blanks between.
pub fn sign(secrets: &[&Secret], id: &str, timestamp: Timestamp, body: &str) -> String {
    let content = format!("{id}.{}.{body}", timestamp.timestamp());
    let signatures: Vec<String> = secrets.iter().filter_map(|secret| signature(secret, &content)).collect();
    signatures.join(" ")
}

fn signature(secret: &Secret, content: &str) -> Option<String> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.key()).ok()?;
    mac.update(content.as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification's libraries are tested with.
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_published_example_has_the_published_signature() {
        let (secret, at) = (Secret::parse(SECRET).unwrap(), Timestamp::from_timestamp(1_614_265_330, 0).unwrap());
        assert_eq!(sign(&[&secret], ID, at, "{\"test\": 2432232314}"), SIGNED);
        let new = Secret::generate();
        let both = sign(&[&new, &secret], ID, at, "{\"test\": 2432232314}");
        let parts: Vec<_> = both.split(' ').collect();
        assert!(parts.len() == 2 && parts[0] != SIGNED && parts[1] == SIGNED, "{both}");
    }

    #[test]
    fn any_change_of_id_time_or_body_changes_the_signature() {
        let (secret, at) = (Secret::parse(SECRET).unwrap(), Timestamp::from_timestamp(1_614_265_330, 0).unwrap());
        let signed = sign(&[&secret], ID, at, "{}");
        let later = at + chrono::TimeDelta::seconds(1);
        for other in [sign(&[&secret], "msg_2", at, "{}"), sign(&[&secret], ID, later, "{}"), sign(&[&secret], ID, at, "{ }")] {
            assert_ne!(signed, other);
        }
    }

    #[test]
    fn a_new_secret_reads_back_repeats_never_and_is_not_printed() {
        let (one, two) = (Secret::generate(), Secret::generate());
        assert_ne!(one, two);
        assert_eq!(Secret::parse(one.reveal()), Some(one.clone()));
        assert_eq!(format!("{one:?}"), "Secret");
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_***", &one.reveal()[6..]] {
            assert_eq!(Secret::parse(bad), None, "{bad}");
        }
    }
}
