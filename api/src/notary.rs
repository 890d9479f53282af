//! The shop's notary: its keys, which are in the vault, and what it is told on the command line.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use event_store::Log;
use notary::{KeyPeriod, KnownKeys, Notary, NotaryConfig, NoteError, Signer, SigningKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vault::{Vault, VaultError};

use crate::{cli::parse_duration, data_folder::DataFolder};

/// How often a change of the keys is tried when others change them at the same time.
const ATTEMPTS: usize = 20;

/// How long it may take until a replaced key is known to those who ask for the keys.
const FRESH: Duration = Duration::from_secs(5);

/// How the notary works that follows the shop.
#[derive(Debug, Clone, Args)]
pub struct NotaryArgs {
    /// How long after a signed head of the log the next one is signed, if there is something new
    #[arg(long, env = "DAYBOOK_NOTARY_INTERVAL", default_value = "10s", value_parser = parse_duration, value_name = "TIME")]
    pub notary_interval: Duration,
    /// A file, best on another machine, to which each signed head is appended
    #[arg(long, env = "DAYBOOK_NOTARY_PUBLISH", value_name = "FILE")]
    pub notary_publish: Option<PathBuf>,
    /// The folder of the notary's tiles and its last head; DIR/notary unless given
    #[arg(long, env = "DAYBOOK_NOTARY_FOLDER", value_name = "FOLDER")]
    pub notary_folder: Option<PathBuf>,
    /// The name under which the log is signed, for good, such as shop.example/log; `daybook/` and the log's id unless given
    #[arg(long, env = "DAYBOOK_NOTARY_ORIGIN", value_name = "NAME")]
    pub notary_origin: Option<String>,
}

impl Default for NotaryArgs {
    fn default() -> Self {
        Self { notary_interval: Duration::from_secs(10), notary_publish: None, notary_folder: None, notary_origin: None }
    }
}

/// Why there is no notary.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// The vault cannot be used.
    #[error("the notary's keys: {0}")]
    Vault(#[from] VaultError),
    /// The vault holds something else under their name.
    #[error("the notary's keys in the vault are damaged")]
    Damaged,
    /// The log was never signed with a key from this vault.
    #[error("the notary has no key yet; `daybook serve` makes it")]
    NoKey,
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NoteError),
    /// The name of a log never changes.
    #[error("the log is signed as {0}, and cannot be signed under another name")]
    Origin(String),
    /// The log does not say how long it is.
    #[error(transparent)]
    Read(#[from] event_store::ReadError),
}

/// What the vault holds: the key that signs, and all that signed before.
#[derive(Clone, Serialize, Deserialize)]
struct Ring {
    origin: String,
    /// The seed of the key in use, in base64.
    seed: String,
    /// The smallest head that it signs.
    from: u64,
    retired: Vec<KeyPeriod>,
}

impl Ring {
    fn new(origin: String) -> Result<Self, NotaryError> {
        let seed = BASE64_STANDARD.encode(SigningKey::generate(&origin)?.seed());
        Ok(Self { origin, seed, from: 0, retired: Vec::new() })
    }

    fn key(&self) -> Result<SigningKey, NotaryError> {
        let seed = BASE64_STANDARD.decode(&self.seed).ok().and_then(|seed| seed.try_into().ok());
        Ok(SigningKey::new(&self.origin, seed.ok_or(NotaryError::Damaged)?)?)
    }

    fn known(&self) -> Result<KnownKeys, NotaryError> {
        let current = KeyPeriod { key: self.key()?.verifier(), from: self.from, until: None };
        Ok(KnownKeys { keys: std::iter::once(current).chain(self.retired.clone()).collect() })
    }

    /// The keys with a new one in use, in a log of so many events.
    fn rotated(mut self, size: u64) -> Result<Self, NotaryError> {
        let replaced = KeyPeriod { key: self.key()?.verifier(), from: self.from, until: None };
        self.retired.insert(0, replaced);
        Ok(Self { from: size, retired: self.retired, ..Self::new(self.origin)? })
    }
}

/// Where the vault holds the keys of a log.
fn name(log: Uuid) -> String {
    format!("notary-key/{log}")
}

/// The notary's keys. They are read again before each signature, so that one that was replaced signs nothing more.
pub(crate) struct NotaryKeys {
    vault: Vault,
    log: Uuid,
    origin: String,
    last: RwLock<(Instant, KnownKeys)>,
}

impl NotaryKeys {
    /// The keys of a log; the first is made when there is none.
    async fn open(vault: Vault, log: Uuid, origin: Option<&str>) -> Result<Self, NotaryError> {
        for _ in 0..ATTEMPTS {
            if let Some(entry) = vault.get::<Ring>(&name(log)).await? {
                let ring = entry.value;
                if origin.is_some_and(|origin| origin != ring.origin) {
                    return Err(NotaryError::Origin(ring.origin));
                }
                let last = RwLock::new((Instant::now(), ring.known()?));
                return Ok(Self { vault, log, origin: ring.origin, last });
            }
            let ring = Ring::new(origin.map_or_else(|| format!("daybook/{log}"), str::to_owned))?;
            match vault.put(&name(log), None, &ring, None).await {
                Ok(_) | Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(NotaryError::Damaged)
    }

    async fn ring(&self) -> Result<Ring, NotaryError> {
        let ring = self.vault.get::<Ring>(&name(self.log)).await?.ok_or(NotaryError::NoKey)?.value;
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), ring.known()?);
        Ok(ring)
    }

    /// All keys, and which heads each signs; a few seconds old at most.
    ///
    /// # Errors
    /// If the vault cannot be read.
    pub(crate) async fn known(&self) -> Result<KnownKeys, NotaryError> {
        let (read_at, known) = self.last.read().unwrap_or_else(PoisonError::into_inner).clone();
        if read_at.elapsed() < FRESH { Ok(known) } else { self.ring().await?.known() }
    }
}

#[async_trait]
impl Signer for NotaryKeys {
    async fn key(&self, size: u64) -> Result<Option<SigningKey>, String> {
        let ring = self.ring().await.map_err(|error| error.to_string())?;
        if size < ring.from { Ok(None) } else { ring.key().map(Some).map_err(|error| error.to_string()) }
    }

    async fn known(&self) -> Result<KnownKeys, String> {
        self.ring().await.and_then(|ring| ring.known()).map_err(|error| error.to_string())
    }
}

/// Puts a new key in the place of the one that signs the heads of a log, and gives all keys. What the old one signed is
/// believed as far as the log went.
///
/// # Errors
/// See [`NotaryError`].
pub(crate) async fn rotate(vault: &Vault, log: &dyn Log) -> Result<KnownKeys, NotaryError> {
    let name = name(log.id());
    let mut rotated = false;
    for _ in 0..ATTEMPTS {
        let entry = vault.get::<Ring>(&name).await?.ok_or(NotaryError::NoKey)?;
        // A node fixes what it signs before it asks for the key. So the size after the old key was put away is no smaller than
        // anything that the old key may still be signing, and only then it is known where the old key's time ends.
        let size = log.head().await?.position;
        let mut ring = if rotated { entry.value } else { entry.value.rotated(size)? };
        if rotated {
            ring.retired.iter_mut().filter(|retired| retired.until.is_none()).for_each(|retired| retired.until = Some(size));
        }
        match vault.put(&name, Some(entry.version), &ring, None).await {
            Ok(_) if rotated => return ring.known(),
            Ok(_) => rotated = true,
            Err(VaultError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(VaultError::Conflict.into())
}

/// The notary of a shop that is served.
pub(crate) struct ShopNotary {
    /// What follows the log.
    pub(crate) notary: Notary,
    /// Its keys.
    pub(crate) keys: Arc<NotaryKeys>,
}

/// Begins to follow the log of a shop.
///
/// # Errors
/// See [`NotaryError`].
pub(crate) async fn start(
    args: &NotaryArgs,
    folder: &DataFolder,
    vault: &Vault,
    log: &Arc<dyn Log>,
) -> Result<ShopNotary, NotaryError> {
    let keys = Arc::new(NotaryKeys::open(vault.clone(), log.id(), args.notary_origin.as_deref()).await?);
    let config = NotaryConfig {
        folder: args.notary_folder.clone().unwrap_or_else(|| folder.file("notary")),
        origin: keys.origin.clone(),
        interval: args.notary_interval,
        publish: args.notary_publish.clone(),
    };
    Ok(ShopNotary { notary: Notary::start(log.clone(), keys.clone(), config), keys })
}

#[cfg(test)]
mod tests {
    use event_store::MemoryLog;
    use notary::SignedCheckpoint;
    use vault::VaultKey;

    use super::*;

    #[tokio::test]
    async fn a_replaced_key_is_believed_as_far_as_the_log_went_and_signs_nothing_more() {
        let scratch = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", scratch.path().join("vault.db").display());
        let vault = Vault::open(&url, VaultKey::generate()).await.unwrap();
        let log = MemoryLog::new();
        assert!(matches!(rotate(&vault, &log).await, Err(NotaryError::NoKey)));
        let keys = NotaryKeys::open(vault.clone(), log.id(), Some("shop.example/log")).await.unwrap();
        let old = keys.key(0).await.unwrap().unwrap();
        let again = NotaryKeys::open(vault.clone(), log.id(), None).await.unwrap();
        assert_eq!((old.name(), again.key(9).await.unwrap().unwrap().seed()), ("shop.example/log", old.seed()));
        let renamed = NotaryKeys::open(vault.clone(), log.id(), Some("tea")).await;
        assert!(matches!(renamed, Err(NotaryError::Origin(name)) if name == "shop.example/log"));

        let known = rotate(&vault, &log).await.unwrap();
        let new = keys.key(0).await.unwrap().unwrap();
        assert_ne!(new.seed(), old.seed());
        assert_eq!(known.keys.iter().map(|period| (period.from, period.until)).collect::<Vec<_>>(), [(0, None), (0, Some(0))]);
        assert_eq!(keys.known().await.unwrap(), known);
        let believed = |key: &SigningKey, size| known.check(&SignedCheckpoint::sign(size, [9; 32], key)).is_ok();
        assert!(believed(&old, 0) && believed(&new, 0) && believed(&new, 7) && !believed(&old, 1));
    }
}
