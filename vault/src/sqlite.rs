//! The vault in an SQLite file: one writer at a time, readers beside it, and nothing answered before it is synced.

mod file;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, named_params};
use tokio::{sync::Semaphore, time::timeout};

use self::file::{BUSY, File, Open};
use crate::{
    VaultError,
    key::Keyring,
    store::{Change, Moment, Range, Reseal, Row, Store},
};

/// How many calls read at once; the others wait.
const READERS: usize = 4;
/// How long a call waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// How long a call waits for the disk when it has its turn: longer than for another process that writes.
const ANSWER: Duration = Duration::from_secs(15);

/// How often it is tried to empty the write-ahead log while others use the file.
const PURGES: u32 = 50;
/// How long to wait in between.
const BETWEEN_PURGES: Duration = Duration::from_millis(100);
/// How long each of them waits for those who read: nobody else of this process can write meanwhile.
const PURGE_PATIENCE: Duration = Duration::from_millis(100);

const GET: &str = "SELECT name, version, expires_at, sealed FROM entries
    WHERE name = :name AND (expires_at IS NULL OR expires_at > :now)";
const TAKE: &str = "DELETE FROM entries WHERE name = :name RETURNING name, version, expires_at, sealed";
const LIST: &str = "SELECT name, version, expires_at, sealed FROM entries
    WHERE name >= :from AND name < :to AND name > :after AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY name LIMIT :limit";
const NEXT_VERSION: &str = "UPDATE vault SET last_version = last_version + 1 RETURNING last_version";
const INSERT: &str = "INSERT INTO entries (name, version, expires_at, sealed) VALUES (:name, :version, :expires_at, :sealed)
    ON CONFLICT (name) DO UPDATE SET version = :version, expires_at = :expires_at, sealed = :sealed
    WHERE entries.expires_at <= :now";
const UPDATE: &str = "UPDATE entries SET version = :version, expires_at = :expires_at, sealed = :sealed
    WHERE name = :name AND version = :expected AND (expires_at IS NULL OR expires_at > :now)";
const SWEEP: &str = "DELETE FROM entries WHERE expires_at <= :now";
const ALL: &str = "SELECT name, version, expires_at, sealed FROM entries";
const RESEAL: &str = "UPDATE entries SET sealed = ?1 WHERE name = ?2";
const OUR_KEY: &str = "SELECT EXISTS (SELECT 1 FROM vault WHERE key_check = ?1)";
const NEW_KEY: &str = "UPDATE vault SET key_check = ?1 WHERE key_check = ?2";

/// A vault in a file.
pub(crate) struct SqliteStore {
    pool: Arc<Pool>,
    reading: Arc<Semaphore>,
    writing: Arc<Semaphore>,
}

/// Connections to the file, opened when they are needed and kept.
struct Pool {
    file: File,
    idle: Mutex<Vec<Open>>,
}

impl SqliteStore {
    /// Opens the file, and makes it when there is none, if it may.
    pub async fn open(path: &Path, keyring: Arc<Keyring>, make: bool) -> Result<Self, VaultError> {
        let file = File::new(path, keyring);
        let name = file.name().to_owned();
        let opening = tokio::task::spawn_blocking(move || {
            let first = if make { file.make()? } else { file.connect()? };
            Ok(Pool { file, idle: Mutex::new(vec![first]) })
        });
        let pool = Arc::new(opening.await.map_err(|_| broken_off(&name))??);
        Ok(Self { pool, reading: Arc::new(Semaphore::new(READERS)), writing: Arc::new(Semaphore::new(1)) })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, VaultError> {
        self.run(&self.reading, move |connection| read(connection)).await
    }

    /// Runs a change in a transaction, if the vault still has our key; it is rolled back when it fails or changed nothing. One at
    /// a time: SQLite lets several writers wait in no order, so that one may wait in vain.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Option<T>> + Send + 'static,
    ) -> Result<Option<T>, VaultError> {
        let pool = Arc::clone(&self.pool);
        let change = move |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if !has_key(&transaction, &pool.file)? {
                return Ok(None);
            }
            let answer = write(&transaction)?;
            if answer.is_some() {
                transaction.commit()?
            } else {
                transaction.rollback()?
            }
            Ok(Some(answer))
        };
        self.run(&self.writing, change).await?.ok_or_else(|| VaultError::KeyReplaced(self.name().to_owned()))
    }

    async fn run<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, VaultError> {
        let name = self.name();
        let late = |what: &str| VaultError::Unavailable(name.to_owned(), what.to_owned());
        let turn = match timeout(TURN, Arc::clone(turns).acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) | Err(_) => return Err(late("too many are waiting for it")),
        };
        let pool = Arc::clone(&self.pool);
        let task = tokio::task::spawn_blocking(move || {
            // Kept to the end of the work, also when whoever waits for it goes away.
            let _turn = turn;
            pool.run(work)
        });
        match timeout(ANSWER, task).await {
            Ok(done) => done.map_err(|_| broken_off(name))?,
            Err(_) => Err(late("the disk does not answer in time")),
        }
    }
}

impl Pool {
    /// Another connection. The file had our key when it was opened first.
    fn reconnect(&self) -> Result<Open, VaultError> {
        self.file.connect().map_err(|error| match error {
            VaultError::WrongKey(name) => VaultError::KeyReplaced(name),
            error => error,
        })
    }

    fn run<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, VaultError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop().filter(|open| self.file.is_of(open));
        let mut open = match kept {
            Some(open) => open,
            None => self.reconnect()?,
        };
        // A connection that failed is closed instead of kept, and the next call opens another.
        let answer = work(&mut open.connection).map_err(|error| self.file.refused(&error))?;
        idle().push(open);
        Ok(answer)
    }
}

fn broken_off(name: &str) -> VaultError {
    VaultError::Unavailable(name.to_owned(), "the call was broken off".to_owned())
}

/// The mark is asked for when the connection is there: opening one may be how it was learnt.
fn has_key(connection: &Connection, file: &File) -> rusqlite::Result<bool> {
    connection.prepare_cached(OUR_KEY)?.query_row((&*file.mark(),), |row| row.get(0))
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { name: row.get(0)?, version: row.get(1)?, expires_at: row.get(2)?, sealed: row.get(3)? })
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &str {
        self.pool.file.name()
    }

    async fn get(&self, name: &str, now: Moment) -> Result<Option<Row>, VaultError> {
        let name = name.to_owned();
        self.read(move |connection| {
            connection.prepare_cached(GET)?.query_row(named_params! { ":name": name, ":now": now }, row).optional()
        })
        .await
    }

    async fn put(&self, change: Change, now: Moment) -> Result<i64, VaultError> {
        let written = self.write(move |transaction| {
            let Change { name, expected, expires_at, sealed } = change;
            let version: i64 = transaction.prepare_cached(NEXT_VERSION)?.query_row((), |row| row.get(0))?;
            let rows = match expected {
                None => transaction.prepare_cached(INSERT)?.execute(named_params! {
                    ":name": name, ":version": version, ":expires_at": expires_at, ":sealed": sealed, ":now": now,
                })?,
                Some(expected) => transaction.prepare_cached(UPDATE)?.execute(named_params! {
                    ":name": name, ":version": version, ":expires_at": expires_at, ":sealed": sealed, ":now": now,
                    ":expected": expected,
                })?,
            };
            Ok((rows == 1).then_some(version))
        });
        written.await?.ok_or(VaultError::Conflict)
    }

    async fn take(&self, name: &str, now: Moment) -> Result<Option<Row>, VaultError> {
        let name = name.to_owned();
        let taken = self.write(move |transaction| {
            transaction.prepare_cached(TAKE)?.query_row(named_params! { ":name": name }, row).optional()
        });
        Ok(taken.await?.filter(|row| row.expires_at.is_none_or(|end| end > now)))
    }

    async fn list(&self, range: Range, now: Moment) -> Result<Vec<Row>, VaultError> {
        self.read(move |connection| {
            let Range { from, to, after, limit } = range;
            let mut statement = connection.prepare_cached(LIST)?;
            let after = after.unwrap_or_default();
            let asked = named_params! { ":from": from, ":to": to, ":after": after, ":limit": limit, ":now": now };
            statement.query_map(asked, row)?.collect()
        })
        .await
    }

    async fn has_our_key(&self) -> Result<bool, VaultError> {
        let pool = Arc::clone(&self.pool);
        self.read(move |connection| has_key(connection, &pool.file)).await
    }

    async fn sweep(&self, now: Moment) -> Result<u64, VaultError> {
        let swept = self.write(move |transaction| {
            let rows = transaction.prepare_cached(SWEEP)?.execute(named_params! { ":now": now })?;
            Ok((rows > 0).then_some(rows))
        });
        Ok(swept.await?.unwrap_or(0) as u64)
    }

    async fn purge(&self) -> Result<(), VaultError> {
        // SQLite does not wait by itself while another process is just emptying the same file.
        for _ in 0..PURGES {
            let emptied = self.run(&self.writing, |connection| {
                connection.busy_timeout(PURGE_PATIENCE)?;
                let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, i64>(0))?;
                connection.busy_timeout(BUSY)?;
                Ok(busy)
            });
            if emptied.await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_PURGES).await;
        }
        Err(VaultError::Unavailable(self.name().to_owned(), "another process reads it all the time".to_owned()))
    }

    async fn rekey(&self, reseal: Reseal, check: Vec<u8>) -> Result<u64, VaultError> {
        let pool = Arc::clone(&self.pool);
        // As long as it takes: it is the only work, and not to be broken off.
        let rekeyed = tokio::task::spawn_blocking(move || {
            let mut open = pool.reconnect()?;
            let refused = |error: rusqlite::Error| pool.file.refused(&error);
            let transaction = open.connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(refused)?;
            let marked = transaction.execute(NEW_KEY, (check, &*pool.file.mark())).map_err(refused)?;
            if marked != 1 {
                return Err(VaultError::KeyReplaced(pool.file.name().to_owned()));
            }
            let rows: Vec<Row> = {
                let mut statement = transaction.prepare(ALL).map_err(refused)?;
                let rows = statement.query_map((), row).map_err(refused)?;
                rows.collect::<rusqlite::Result<_>>().map_err(refused)?
            };
            for row in &rows {
                let sealed = reseal(row)?;
                transaction.prepare_cached(RESEAL).and_then(|mut to| to.execute((&sealed, &row.name))).map_err(refused)?;
            }
            transaction.commit().map_err(refused)?;
            Ok(rows.len() as u64)
        });
        rekeyed.await.map_err(|_| broken_off(self.name()))?
    }
}
