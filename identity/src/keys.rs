//! The keys that sign access tokens: Ed25519, kept in the vault, the same for all nodes, replaced without a gap.
//!
//! All of them are one document of the vault, written with compare-and-swap. So of several nodes that start at once one makes
//! the first key, and a rotation, which puts a new key in and keeps no more than the public half of the old one, is there whole
//! or not at all.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use event_schemas::Timestamp;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};
use vault::{Vault, VaultError};

use crate::{
    ACCESS_TTL, Claims, Grant, TokenError,
    tokens::{Unverified, issue},
};

/// Where the keys are in the vault.
const NAME: &str = "signing-key/ring";
/// How old what a node knows of the keys may be, before it reads them again.
const FRESH: Duration = Duration::from_secs(30);
/// How old it may be when the vault cannot be read. A key that was replaced is not trusted for longer than this.
const STALE: Duration = Duration::from_secs(5 * 60);
/// How far reads for a key that is not known are apart: whoever makes up keys shall not keep the vault busy.
const APART: Duration = Duration::from_secs(1);
/// How often a rotation begins anew when other nodes rotate at the same time.
const ATTEMPTS: usize = 20;

/// Why there are no keys, or why they cannot sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The vault cannot be used.
    #[error("the signing keys: {0}")]
    Vault(#[from] VaultError),
    /// What the vault has is not a key.
    #[error("the signing keys in the vault are damaged")]
    Damaged,
    /// There were keys, and now the vault has none.
    #[error("the signing keys are gone from the vault")]
    Gone,
    /// A token could not be made.
    #[error("the token could not be signed: {0}")]
    Signing(String),
    /// A token cannot hold for that long.
    #[error("a token cannot hold for that long")]
    TooLong,
}

/// The keys of the shop, as a node knows them. It looks for new ones every 30 seconds, and when a token names one that it does
/// not know.
pub struct Keys {
    vault: Vault,
    issuer: String,
    known: RwLock<Arc<Known>>,
    /// The last time that the vault was read or tried to be, which is done by one at a time.
    last: Mutex<Attempt>,
}

/// A try to read the keys.
struct Attempt {
    begun: Instant,
    outcome: Result<(), KeyError>,
}

/// The keys as the vault keeps them.
#[derive(Serialize, Deserialize)]
struct Ring {
    /// The secret half of the key that signs, in base64url.
    seed: String,
    since: Timestamp,
    /// Keys that do not sign any more.
    retired: Vec<Retired>,
}

#[derive(Serialize, Deserialize)]
struct Retired {
    /// The public half, in base64url.
    x: String,
    /// From when on it does not verify either.
    until: Timestamp,
}

/// The keys, ready to be used.
struct Known {
    kid: String,
    signing: EncodingKey,
    public: Vec<Public>,
    read_at: Instant,
}

struct Public {
    kid: String,
    x: String,
    key: DecodingKey,
    until: Option<Timestamp>,
}

impl Keys {
    /// Reads the keys of the shop, and makes the first when there is none. `issuer` is the shop's public URL, which tokens
    /// name. While it is in use, a task reads the keys again every 30 seconds.
    ///
    /// # Errors
    /// [`KeyError::Vault`] or [`KeyError::Damaged`].
    pub async fn open(vault: Vault, issuer: String, now: Timestamp) -> Result<Arc<Self>, KeyError> {
        Self::open_reading_every(FRESH, vault, issuer, now).await
    }

    /// Whether the vault has keys, so that opening them makes none.
    ///
    /// # Errors
    /// [`KeyError::Vault`].
    pub async fn are_in(vault: &Vault) -> Result<bool, KeyError> {
        Ok(vault.get::<Ring>(NAME).await?.is_some())
    }

    async fn open_reading_every(interval: Duration, vault: Vault, issuer: String, now: Timestamp) -> Result<Arc<Self>, KeyError> {
        let begun = Instant::now();
        let ring = loop {
            if let Some(entry) = vault.get::<Ring>(NAME).await? {
                break entry.value;
            }
            let ring = Ring { seed: new_seed(), since: now, retired: Vec::new() };
            match vault.put(NAME, None, &ring, None).await {
                Ok(_) => break ring,
                // Another node was faster: its key is ours too.
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let known = RwLock::new(Arc::new(Known::of(&ring, begun)?));
        let last = Mutex::new(Attempt { begun, outcome: Ok(()) });
        let keys = Arc::new(Self { vault, issuer, known, last });
        tokio::spawn(keep_fresh(Arc::downgrade(&keys), interval));
        Ok(keys)
    }

    /// Puts a new key in the place of the one that signs, and gives its id. Tokens of the old one hold for a quarter of an hour
    /// more, and half a minute in which other nodes may still sign with it: so those of sessions end by themselves, and those
    /// that were made to hold for longer end then.
    ///
    /// # Errors
    /// [`KeyError::Vault`], after which it may have been done; [`KeyError::Damaged`] or [`KeyError::Gone`].
    pub async fn rotate(&self, now: Timestamp) -> Result<String, KeyError> {
        let mut last = self.last.lock().await;
        let mut attempts = 0;
        let (ring, begun) = loop {
            let begun = Instant::now();
            let entry = self.vault.get::<Ring>(NAME).await?.ok_or(KeyError::Gone)?;
            let ring = entry.value.rotated(now)?;
            match self.vault.put(NAME, Some(entry.version), &ring, None).await {
                Ok(_) => break (ring, begun),
                Err(VaultError::Conflict) if attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error.into()),
            }
        };
        *last = Attempt { begun, outcome: Ok(()) };
        let known = Known::of(&ring, begun)?;
        let kid = known.kid.clone();
        self.install(known);
        tracing::info!(kid, "the key that signs tokens was replaced");
        Ok(kid)
    }

    /// The public keys, for others who check our tokens: a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.known().public.iter().map(Public::jwk).collect();
        json!({ "keys": keys })
    }

    /// A token that says whose it is and what it stands for, and when it ends: `ttl` from `now`, cut to the second.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] or [`KeyError::Signing`].
    pub fn issue(&self, subject: &str, grant: &Grant, ttl: Duration, now: Timestamp) -> Result<(String, Timestamp), KeyError> {
        let known = self.known();
        issue((&known.kid, &known.signing), &self.issuer, (subject, grant), ttl, now)
    }

    /// What a token says that holds at `now`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let unverified = Unverified::read(token)?;
        if unverified.says_expired(now) {
            return Err(TokenError::Expired);
        }
        let mut known = self.known();
        let is_known = known.public.iter().any(|public| public.kid == unverified.kid);
        if !is_known || known.read_at.elapsed() > STALE {
            self.read_again().await.map_err(|error| TokenError::Unavailable(error.to_string()))?;
            known = self.known();
        }
        let key = known.public.iter().find(|public| public.kid == unverified.kid && public.until.is_none_or(|until| until > now));
        unverified.check(&key.ok_or(TokenError::Invalid)?.key, &self.issuer, now)
    }

    /// Reads the keys as they are after this call began. Many callers at once are served by one read, and reads are a second
    /// apart.
    async fn read_again(&self) -> Result<(), KeyError> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if last.begun < asked {
            sleep_until(last.begun + APART).await;
            let begun = Instant::now();
            let outcome = self.read(begun).await;
            *last = Attempt { begun, outcome };
        }
        last.outcome.clone()
    }

    async fn read(&self, begun: Instant) -> Result<(), KeyError> {
        let entry = self.vault.get::<Ring>(NAME).await?.ok_or(KeyError::Gone)?;
        self.install(Known::of(&entry.value, begun)?);
        Ok(())
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn install(&self, known: Known) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("issuer", &self.issuer).field("kid", &self.known().kid).finish_non_exhaustive()
    }
}

/// Reads the keys again and again, until nobody uses them any more: a node that only signs learns of a rotation too.
async fn keep_fresh(keys: Weak<Keys>, interval: Duration) {
    let mut is_well = true;
    loop {
        sleep(interval).await;
        let Some(keys) = keys.upgrade() else { return };
        let read = keys.read_again().await;
        if let (true, Err(error)) = (is_well, &read) {
            tracing::warn!(%error, "the signing keys cannot be read again; those that are known are used for some minutes more");
        }
        is_well = read.is_ok();
    }
}

fn new_seed() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(SigningKey::generate(&mut rand::rngs::OsRng).to_bytes())
}

/// 32 bytes in base64url.
fn bytes(text: &str) -> Result<[u8; 32], KeyError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Damaged)?;
    bytes.try_into().map_err(|_| KeyError::Damaged)
}

impl Ring {
    fn signing(&self) -> Result<SigningKey, KeyError> {
        Ok(SigningKey::from_bytes(&bytes(&self.seed)?))
    }

    /// The keys with a new one in the first place.
    fn rotated(mut self, now: Timestamp) -> Result<Self, KeyError> {
        let old = self.signing()?.verifying_key();
        let until = TimeDelta::from_std(ACCESS_TTL + FRESH).ok().and_then(|more| now.checked_add_signed(more));
        self.retired.retain(|retired| retired.until > now);
        self.retired.push(Retired { x: BASE64_URL_SAFE_NO_PAD.encode(old), until: until.ok_or(KeyError::TooLong)? });
        Ok(Self { seed: new_seed(), since: now, retired: self.retired })
    }
}

impl Known {
    fn of(ring: &Ring, read_at: Instant) -> Result<Self, KeyError> {
        let signing = ring.signing()?;
        let current = Public::of(BASE64_URL_SAFE_NO_PAD.encode(signing.verifying_key()), None)?;
        let retired = ring.retired.iter().map(|retired| Public::of(retired.x.clone(), Some(retired.until)));
        let public: Vec<Public> = std::iter::once(Ok(current)).chain(retired).collect::<Result<_, _>>()?;
        let der = signing.to_pkcs8_der().map_err(|_| KeyError::Damaged)?;
        let kid = public.first().map(|public| public.kid.clone()).ok_or(KeyError::Damaged)?;
        Ok(Self { kid, signing: EncodingKey::from_ed_der(der.as_bytes()), public, read_at })
    }
}

impl Public {
    fn of(x: String, until: Option<Timestamp>) -> Result<Self, KeyError> {
        let bytes = bytes(&x)?;
        Ok(Self { kid: thumbprint(&x), key: DecodingKey::from_ed_der(&bytes), x, until })
    }

    fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": self.x, "kid": self.kid, "use": "sig", "alg": "EdDSA" })
    }
}

/// The id of a key: its thumbprint (RFC 7638), so that it follows from the key, and no two keys can have the same.
fn thumbprint(x: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm;

    use super::*;

    /// RFC 8037, appendix A.
    const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    const SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    #[test]
    fn key_thumbprint_and_signature_are_those_of_the_standard() {
        let ring = Ring { seed: D.to_owned(), since: Timestamp::UNIX_EPOCH, retired: Vec::new() };
        let known = Known::of(&ring, Instant::now()).unwrap();
        assert_eq!((known.kid.as_str(), known.public[0].x.as_str()), (THUMBPRINT, X));
        let signature = jsonwebtoken::crypto::sign(SIGNED.as_bytes(), &known.signing, Algorithm::EdDSA).unwrap();
        assert_eq!(signature, SIGNATURE);
        let key = &known.public[0].key;
        assert!(jsonwebtoken::crypto::verify(SIGNATURE, SIGNED.as_bytes(), key, Algorithm::EdDSA).unwrap());
        assert!(!jsonwebtoken::crypto::verify(SIGNATURE, b"another message", key, Algorithm::EdDSA).unwrap());
    }

    #[test]
    fn what_is_no_key_is_damaged() {
        for seed in ["", "AAAA", "not base64!", &BASE64_URL_SAFE_NO_PAD.encode([0; 33])] {
            let ring = Ring { seed: seed.to_owned(), since: Timestamp::UNIX_EPOCH, retired: Vec::new() };
            assert!(matches!(Known::of(&ring, Instant::now()), Err(KeyError::Damaged)));
        }
    }

    async fn vault(folder: &tempfile::TempDir) -> Vault {
        let url = format!("sqlite:{}", folder.path().join("vault.db").display());
        Vault::open(&url, vault::VaultKey::generate()).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn however_many_ask_for_keys_that_are_not_known_reads_are_a_second_apart() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(vault(&folder).await, "https://shop.test".to_owned(), chrono::Utc::now()).await.unwrap();
        let callers: tokio::task::JoinSet<Vec<Instant>> = (0..100)
            .map(|_| {
                let keys = Arc::clone(&keys);
                async move {
                    let mut begun = Vec::new();
                    for _ in 0..2 {
                        let asked = Instant::now();
                        keys.read_again().await.unwrap();
                        assert!(keys.known().read_at >= asked, "what was there before the call is not enough");
                        begun.push(keys.known().read_at);
                    }
                    begun
                }
            })
            .collect();
        let reads: std::collections::BTreeSet<Instant> = callers.join_all().await.into_iter().flatten().collect();
        let reads: Vec<Instant> = reads.into_iter().collect();
        assert!(reads.len() >= 2 && reads.windows(2).all(|two| two[1] - two[0] >= APART), "{reads:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_that_only_signs_learns_of_a_rotation_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, now) = (vault(&folder).await, chrono::Utc::now());
        let open = || Keys::open_reading_every(Duration::from_millis(20), vault.clone(), "https://shop.test".to_owned(), now);
        let (one, other) = (open().await.unwrap(), open().await.unwrap());
        assert_eq!(one.known().kid, other.known().kid);
        let kid = one.rotate(now).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while other.known().kid != kid {
            assert!(Instant::now() < deadline, "the other node never heard of the new key");
            sleep(Duration::from_millis(20)).await;
        }
    }
}
