//! Access tokens: JSON Web Tokens (RFC 7519) in the profile of RFC 9068, signed with Ed25519 (RFC 8037), checked as RFC 8725
//! asks.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use event_schemas::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::KeyError;

/// Who tokens are for, and which client they were given to: the shop itself.
const AUDIENCE: &str = "daybook";
/// What a token is, so that no other one that the shop may sign some day is taken for it (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";
/// The longest token that is looked at, in bytes; ours have less than a tenth.
const LONGEST: usize = 8_192;

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It is not a token that this shop signed for itself.
    #[error("the token is not valid")]
    Invalid,
    /// Whether it holds cannot be found out now.
    #[error("tokens cannot be checked now: {0}")]
    Unavailable(String),
}

/// What a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A session of an account, which may have been ended since: that is asked elsewhere.
    Session {
        /// The session.
        session_id: Uuid,
    },
    /// Made on the machine with `daybook token`.
    Operator {
        /// The role.
        role: String,
    },
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub subject: String,
    /// What it stands for.
    pub grant: Grant,
    /// From when on it does not hold any more; a whole second.
    pub expires_at: Timestamp,
}

/// The claims as they are in a token.
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    client_id: String,
    sub: String,
    iat: i64,
    exp: i64,
    jti: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// A token that holds for `ttl`, less than a second shorter, and its end.
pub(crate) fn issue(
    (kid, key): (&str, &EncodingKey),
    issuer: &str,
    (subject, grant): (&str, &Grant),
    ttl: Duration,
    now: Timestamp,
) -> Result<(String, Timestamp), KeyError> {
    let end = TimeDelta::from_std(ttl).ok().and_then(|ttl| now.checked_add_signed(ttl));
    let exp = end.ok_or(KeyError::TooLong)?.timestamp();
    let expires_at = Timestamp::from_timestamp(exp, 0).ok_or(KeyError::TooLong)?;
    let (sid, role) = match grant {
        Grant::Session { session_id } => (Some(*session_id), None),
        Grant::Operator { role } => (None, Some(role.clone())),
    };
    let (iss, aud, client_id) = (issuer.to_owned(), AUDIENCE.to_owned(), AUDIENCE.to_owned());
    let (sub, iat, jti) = (subject.to_owned(), now.timestamp(), Uuid::new_v4());
    let payload = Payload { iss, aud, client_id, sub, iat, exp, jti, sid, role };
    let mut header = Header::new(Algorithm::EdDSA);
    (header.typ, header.kid) = (Some(TYPE.to_owned()), Some(kid.to_owned()));
    let token = jsonwebtoken::encode(&header, &payload, key).map_err(|error| KeyError::Signing(error.to_string()))?;
    Ok((token, expires_at))
}

/// A token whose header is one of ours; nothing else of it is to be believed yet.
pub(crate) struct Unverified<'t> {
    token: &'t str,
    /// The key that it says it was signed with.
    pub kid: String,
}

impl<'t> Unverified<'t> {
    /// Looks at the header. Which algorithm is used follows from our keys and never from the token; keys in it, or addresses of
    /// some, are not looked at; an extension that must be understood is not.
    pub fn read(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let is_ours = header.alg == Algorithm::EdDSA && header.crit.is_none() && header.typ.as_deref().is_some_and(is_type);
        match header.kid {
            Some(kid) if is_ours => Ok(Self { token, kid }),
            _ => Err(TokenError::Invalid),
        }
    }

    /// Whether it says itself that its time is over: then no key has to be looked for.
    pub fn says_expired(&self, now: Timestamp) -> bool {
        #[derive(Deserialize)]
        struct End {
            exp: i64,
        }
        let payload = self.token.split('.').nth(1).and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
        let end = payload.and_then(|payload| serde_json::from_slice::<End>(&payload).ok());
        end.is_some_and(|end| Timestamp::from_timestamp(end.exp, 0).is_some_and(|end| end <= now))
    }

    /// Checks signature, issuer, audience and time, and gives what it says.
    pub fn check(&self, key: &DecodingKey, issuer: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Checked against the shop's clock, not this machine's, and to the second.
        validation.validate_exp = false;
        let decoded = jsonwebtoken::decode::<Payload>(self.token, key, &validation).map_err(|_| TokenError::Invalid)?;
        let Payload { sub: subject, exp, sid, role, .. } = decoded.claims;
        let expires_at = Timestamp::from_timestamp(exp, 0).ok_or(TokenError::Invalid)?;
        if expires_at <= now {
            return Err(TokenError::Expired);
        }
        let grant = match (sid, role) {
            (Some(session_id), None) => Grant::Session { session_id },
            (None, Some(role)) => Grant::Operator { role },
            _ => return Err(TokenError::Invalid),
        };
        Ok(Claims { subject, grant, expires_at })
    }
}

/// Media types are compared without regard to case, and `application/` may stand before them (RFC 7515, section 4.1.9).
fn is_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case(TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
}
