//! What a vault needs of a database. Values are sealed before they come here: a store sees names, versions and ends.

use std::sync::Arc;

use async_trait::async_trait;

use crate::VaultError;

/// A moment in microseconds since 1970. Both stores keep it as a number, so that both compare it in the same way.
pub(crate) type Moment = i64;

/// The format that is written here.
pub(crate) const FORMAT: i64 = 1;

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub name: String,
    pub version: i64,
    pub expires_at: Option<Moment>,
    pub sealed: Vec<u8>,
}

/// A change of one row.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub name: String,
    /// None when it must be absent. A row that has expired is.
    pub expected: Option<i64>,
    pub expires_at: Option<Moment>,
    pub sealed: Vec<u8>,
}

/// Which rows are listed, in the order of the bytes of their names.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    /// The first name that may be listed.
    pub from: String,
    /// The first name that may not be listed any more.
    pub to: String,
    pub after: Option<String>,
    pub limit: u32,
}

/// Seals a row anew, with another key.
pub(crate) type Reseal = Arc<dyn Fn(&Row) -> Result<Vec<u8>, VaultError> + Send + Sync>;

/// A database. What has expired at `now` is not there for any of these.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// How it is called in messages; without a password.
    fn name(&self) -> &str;
    async fn get(&self, name: &str, now: Moment) -> Result<Option<Row>, VaultError>;
    /// Durable when answered. A version is never given twice.
    ///
    /// This, `take` and `rekey` are done only while the vault has the mark of the store's keyring, in the same transaction: what
    /// a process writes with a key that was replaced would be lost.
    async fn put(&self, change: Change, now: Moment) -> Result<i64, VaultError>;
    /// Removes a row and gives it, to one caller.
    async fn take(&self, name: &str, now: Moment) -> Result<Option<Row>, VaultError>;
    async fn list(&self, range: Range, now: Moment) -> Result<Vec<Row>, VaultError>;
    /// Whether the vault still has the key that it was opened with.
    async fn has_our_key(&self) -> Result<bool, VaultError>;
    /// Removes what has expired; how many rows that were. It may be refused when the key was replaced.
    async fn sweep(&self, now: Moment) -> Result<u64, VaultError>;
    /// Makes what was removed or replaced go from the disk, as far as the database can.
    async fn purge(&self) -> Result<(), VaultError>;
    /// Seals every row anew and replaces the mark that the key is known by, all in one transaction; how many rows that were.
    async fn rekey(&self, reseal: Reseal, check: Vec<u8>) -> Result<u64, VaultError>;
}
