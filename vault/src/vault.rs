//! The vault as the rest of the shop sees it.

use std::{fmt, sync::Arc};

use chrono::Utc;
use event_schemas::Timestamp;
use event_store::PostgresAddress;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    VaultError, VaultKey,
    key::Keyring,
    name,
    postgres::PostgresStore,
    sqlite::SqliteStore,
    store::{Change, Moment, Range, Row, Store},
};

/// The most entries that are listed at once.
const MOST_LISTED: u32 = 1_000;

/// What is there while a vault is being copied here.
pub(crate) const UNFINISHED: &str = "copy/unfinished";

/// A store of encrypted documents under names. A clone is the same vault.
///
/// Any number of processes may have one open. An answer to a change means that it is durable. Whatever reads or changes something
/// may answer [`VaultError::KeyReplaced`]: the vault was given another key, and this process has to be started with it. Names are
/// stored as they are:
/// nothing personal belongs into one, see [`Vault::blind`].
#[derive(Clone)]
pub struct Vault {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keyring: Arc<Keyring>,
}

/// A document and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// The document.
    pub value: T,
    /// Which writing of it this is. No two writings under a name have the same, also when it was removed in between.
    pub version: u64,
    /// From when on it is not there any more; in microseconds.
    pub expires_at: Option<Timestamp>,
}

impl Vault {
    /// Opens the vault at an address, and makes it when there is none: `sqlite:PATH` (a file that only its owner can read) or
    /// `postgres://…` (the schema `vault`).
    ///
    /// # Errors
    /// [`VaultError::WrongKey`] if it was made with another key; [`VaultError::NotAVault`], [`VaultError::Newer`],
    /// [`VaultError::Unfinished`] or [`VaultError::Unavailable`] if it cannot be used. None of them repeats a password.
    pub async fn open(url: &str, key: VaultKey) -> Result<Self, VaultError> {
        Self::open_or(true, url, key).await
    }

    /// Opens the vault at an address as [`Self::open`] does, and makes nothing when there is none.
    ///
    /// # Errors
    /// As [`Self::open`], and [`VaultError::NotAVault`] or [`VaultError::Unavailable`] if there is none.
    pub async fn open_existing(url: &str, key: VaultKey) -> Result<Self, VaultError> {
        Self::open_or(false, url, key).await
    }

    async fn open_or(make: bool, url: &str, key: VaultKey) -> Result<Self, VaultError> {
        let keyring = Arc::new(Keyring::new(&key));
        let store: Arc<dyn Store> = match url.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => {
                Arc::new(SqliteStore::open(path.as_ref(), Arc::clone(&keyring), make).await?)
            }
            _ if PostgresAddress::is_one(url) => Arc::new(PostgresStore::open(url, Arc::clone(&keyring), make).await?),
            // It is not repeated: it may be a misspelt address with a password in it.
            _ => {
                let kinds = "its address reads sqlite:PATH, such as sqlite:shop/vault.db, or postgres://USER@HOST/DATABASE";
                return Err(VaultError::Unavailable("the vault".to_owned(), kinds.to_owned()));
            }
        };
        if store.get(UNFINISHED, now()).await?.is_some() {
            return Err(VaultError::Unfinished(store.name().to_owned()));
        }
        Ok(Self { store, keyring })
    }

    /// How it is called in messages: its file or database, without a password.
    pub fn name(&self) -> &str {
        self.store.name()
    }

    /// The document under a name, if there is one that has not expired.
    ///
    /// # Errors
    /// [`VaultError::Name`], [`VaultError::Damaged`] or [`VaultError::Unavailable`].
    pub async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<Entry<T>>, VaultError> {
        name::check(name)?;
        let row = self.store.get(name, now()).await?;
        self.told(row.map(|row| self.entry(&row)).transpose()).await
    }

    /// Writes a document if the entry is as expected: absent, or at that version. Answers its new version. From `expires_at`
    /// on (kept in microseconds) it is not there any more.
    ///
    /// # Errors
    /// [`VaultError::Conflict`] if the entry is not as expected, and nothing was written then; [`VaultError::Name`],
    /// [`VaultError::Value`] or [`VaultError::Unavailable`]. After the last of these it may have been written: read it before
    /// trying again.
    pub async fn put<T: Serialize>(
        &self,
        name: &str,
        expected: Option<u64>,
        value: &T,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, VaultError> {
        name::check(name)?;
        let expires_at = expires_at.map(|moment| moment.timestamp_micros());
        let value = serde_json::to_vec(value).map_err(|error| VaultError::Value(error.to_string()))?;
        let sealed = self.keyring.seal(name, expires_at, &value);
        let sealed = sealed.ok_or_else(|| VaultError::Value("it is too long to be encrypted".to_owned()))?;
        // A version that no store can have is one that the entry does not have.
        let expected = expected.map(i64::try_from).transpose().map_err(|_| VaultError::Conflict)?;
        let version = self.store.put(Change { name: name.to_owned(), expected, expires_at, sealed }, now()).await?;
        self.version(name, version)
    }

    /// Removes an entry; whether it was there.
    ///
    /// # Errors
    /// [`VaultError::Name`] or [`VaultError::Unavailable`].
    pub async fn remove(&self, name: &str) -> Result<bool, VaultError> {
        name::check(name)?;
        Ok(self.store.take(name, now()).await?.is_some())
    }

    /// Removes an entry and answers its document: for codes that work once. Of many callers at once, in any number of
    /// processes, one gets it.
    ///
    /// # Errors
    /// As [`Vault::get`]. After [`VaultError::Unavailable`] the entry may be gone without anyone having got it; a damaged one
    /// is gone too.
    pub async fn take<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, VaultError> {
        name::check(name)?;
        let row = self.store.take(name, now()).await?;
        Ok(self.told(row.map(|row| self.entry(&row)).transpose()).await?.map(|entry| entry.value))
    }

    /// The entries whose names begin with `prefix`, after a name, in the order of their names; at most `limit`, and at most
    /// 1,000. What follows is asked for with the last name as `after`.
    ///
    /// # Errors
    /// As [`Vault::get`].
    pub async fn list<T: DeserializeOwned>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Entry<T>)>, VaultError> {
        if let Some(after) = after {
            name::check(after)?;
        }
        let (from, to, after) = (prefix.to_owned(), name::end_of(prefix)?, after.map(str::to_owned));
        let range = Range { from, to, after, limit: limit.min(MOST_LISTED) };
        let rows = self.store.list(range, now()).await?;
        self.told(rows.into_iter().map(|row| Ok((row.name.clone(), self.entry(&row)?))).collect()).await
    }

    /// Removes what has expired at `now` from the disk; how many entries that were. They are not answered any more before.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`].
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, VaultError> {
        self.store.sweep(now.timestamp_micros()).await
    }

    /// Makes what was removed or replaced until now go from the store's disk too, with what is kept of it beside the data: the
    /// write-ahead log of an SQLite file is emptied, the table of a PostgreSQL database vacuumed. What was sealed there was
    /// unreadable without the vault key before.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`], also while another process reads the file all the time.
    pub async fn purge(&self) -> Result<(), VaultError> {
        self.store.purge().await
    }

    /// Whether the vault still has the key that it was opened with. If not, this process has to be started with the new one.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`].
    pub async fn has_our_key(&self) -> Result<bool, VaultError> {
        match self.store.has_our_key().await {
            Err(VaultError::KeyReplaced(_)) => Ok(false),
            asked => asked,
        }
    }

    /// A fingerprint of a text under a key derived from the vault key (HMAC-SHA256, 64 hexadecimal digits): for names made of
    /// personal data, such as `email/<fingerprint>`. Fingerprints of different purposes have nothing to do with each other.
    pub fn blind(&self, purpose: &str, text: &str) -> String {
        self.keyring.blind(purpose, text)
    }

    /// What was read. What does not open may have been sealed with a key that the vault was given meanwhile.
    async fn told<T>(&self, read: Result<T, VaultError>) -> Result<T, VaultError> {
        match read {
            Err(VaultError::Damaged(..)) if !self.store.has_our_key().await? => {
                Err(VaultError::KeyReplaced(self.store.name().to_owned()))
            }
            read => read,
        }
    }

    fn entry<T: DeserializeOwned>(&self, row: &Row) -> Result<Entry<T>, VaultError> {
        let damaged = |reason: &str| VaultError::Damaged(row.name.clone(), reason.to_owned());
        let value = self.keyring.open(&row.name, row.expires_at, &row.sealed);
        let value = value.ok_or_else(|| damaged("it was not written with this vault's key for this name"))?;
        // What serde says may repeat a secret: it is not passed on.
        let value = serde_json::from_slice(&value).map_err(|_| damaged("it is not of the shape that was asked for"))?;
        let expires_at = row.expires_at.map(|moment| Timestamp::from_timestamp_micros(moment).ok_or_else(|| damaged("its end")));
        Ok(Entry { value, version: self.version(&row.name, row.version)?, expires_at: expires_at.transpose()? })
    }

    fn version(&self, name: &str, version: i64) -> Result<u64, VaultError> {
        u64::try_from(version).map_err(|_| VaultError::Damaged(name.to_owned(), "its version is negative".to_owned()))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.name())
    }
}

pub(crate) fn now() -> Moment {
    Utc::now().timestamp_micros()
}
