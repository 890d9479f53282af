//! Bearer tokens: JSON Web Tokens (RFC 7519), HMAC-SHA256, signed with a secret that lives in the data folder.

use std::time::Duration;

use event_schemas::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    access::{Caller, Role},
    data_folder::DataFolder,
};

/// Why a token could not be made or is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The secret cannot be created or read.
    #[error("the token key {0} cannot be used: {1}")]
    Key(std::path::PathBuf, std::io::Error),
    /// The token could not be made.
    #[error("the token could not be signed: {0}")]
    Signing(jsonwebtoken::errors::Error),
    /// The token's time is over.
    #[error("the token has expired")]
    Expired,
    /// It is not a token that this shop signed.
    #[error("the token is not valid")]
    Invalid,
}

/// The secret that signs this shop's tokens.
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    iat: i64,
    exp: i64,
}

/// 64 random bytes: longer than the 32 that HS256 needs.
const KEY_BYTES: usize = 64;

impl TokenKey {
    /// Reads the folder's secret, and makes one that only its owner can read if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or made.
    pub fn open(folder: &DataFolder) -> Result<Self, TokenError> {
        let path = folder.file("token.key");
        let failed = |error| TokenError::Key(path.clone(), error);
        if !path.try_exists().map_err(failed)? {
            let secret: Vec<u8> = (0..KEY_BYTES / 16).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
            folder.keep("token.key", &secret).map_err(failed)?;
        }
        let secret = std::fs::read(&path).map_err(failed)?;
        if secret.len() < KEY_BYTES / 2 {
            return Err(failed(std::io::Error::other("it is too short; remove it to have a new one made")));
        }
        Ok(Self::from_secret(&secret))
    }

    fn from_secret(secret: &[u8]) -> Self {
        // Only this algorithm is accepted, so a token cannot choose a weaker one (RFC 8725, section 3.1).
        let mut validation = Validation::new(Algorithm::HS256);
        // Checked against the shop's clock, not this machine's: see `verify`.
        validation.validate_exp = false;
        Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret), validation }
    }

    /// A token that says who the caller is, and when it ends.
    ///
    /// # Errors
    /// If signing fails.
    pub fn issue(&self, caller: &Caller, ttl: Duration, now: Timestamp) -> Result<(String, Timestamp), TokenError> {
        let expires_at = now + ttl;
        let claims = Claims { role: caller.role, sub: caller.subject.clone(), iat: now.timestamp(), exp: expires_at.timestamp() };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding);
        Ok((token.map_err(TokenError::Signing)?, expires_at))
    }

    /// Who sent a token that holds at `now`, and when it ends.
    ///
    /// # Errors
    /// [`TokenError::Expired`] or [`TokenError::Invalid`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<(Caller, Timestamp), TokenError> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        let Claims { role, sub: subject, exp, .. } = decoded.map_err(|_| TokenError::Invalid)?.claims;
        let expires_at = Timestamp::from_timestamp(exp, 0).ok_or(TokenError::Invalid)?;
        if expires_at <= now {
            return Err(TokenError::Expired);
        }
        Ok((Caller { role, subject }, expires_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finance() -> Caller {
        Caller { role: Role::Finance, subject: Some("ana".to_owned()) }
    }

    #[test]
    fn a_token_says_who_sent_it() {
        let key = TokenKey::from_secret(&[7; 64]);
        let now = Timestamp::from_timestamp(chrono::Utc::now().timestamp(), 0).unwrap();
        let (token, expires_at) = key.issue(&finance(), Duration::from_secs(60), now).unwrap();
        assert_eq!(key.verify(&token, now).unwrap(), (finance(), expires_at));
    }

    #[test]
    fn a_token_of_another_key_of_no_algorithm_or_from_the_past_is_refused() {
        let (key, other) = (TokenKey::from_secret(&[7; 64]), TokenKey::from_secret(&[8; 64]));
        let (token, _) = other.issue(&finance(), Duration::from_secs(60), chrono::Utc::now()).unwrap();
        assert!(matches!(key.verify(&token, chrono::Utc::now()), Err(TokenError::Invalid)));
        let yesterday = chrono::Utc::now() - chrono::TimeDelta::days(1);
        let (token, _) = key.issue(&finance(), Duration::from_secs(60), yesterday).unwrap();
        assert!(matches!(key.verify(&token, chrono::Utc::now()), Err(TokenError::Expired)));
        // {"alg":"none"} . {"role":"admin","iat":0,"exp":99999999999} without a signature
        let unsigned = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4iLCJpYXQiOjAsImV4cCI6OTk5OTk5OTk5OTl9.";
        assert!(matches!(key.verify(unsigned, chrono::Utc::now()), Err(TokenError::Invalid)));
    }
}
