//! The vault in the schema `vault` of a PostgreSQL database: any number of nodes use it, and each change is one statement.

mod schema;

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use event_store::PostgresAddress;
use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres, Row as _,
    postgres::{PgArguments, PgDatabaseError, PgPoolOptions, PgRow, PgSeverity},
    query::Query,
};

use crate::{
    VaultError,
    key::Keyring,
    store::{Change, Moment, Range, Reseal, Row, Store},
};

/// How many sessions a node has at most.
const SESSIONS: u32 = 8;
/// How long a call waits for a free session, a lost server included.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long a statement may take on the server, its wait for another node's change included.
const LIMIT: Duration = Duration::from_secs(10);
/// How long to wait for the server's answer: longer than it may take, so that only a lost server is given up.
const ANSWER: Duration = Duration::from_secs(15);
/// How long the table may be vacuumed: a large one takes its time.
const VACUUM: Duration = Duration::from_secs(10 * 60);
/// A session that rested for longer is asked whether it is still alive before it is used.
const RESTED: Duration = Duration::from_secs(1);

const GET: &str = "SELECT name, version, expires_at, sealed FROM vault.entries
    WHERE name = $1 AND (expires_at IS NULL OR expires_at > $2)";
const TAKE: &str = "DELETE FROM vault.entries WHERE name = $1 AND EXISTS (SELECT FROM vault.vault WHERE key_check = $2)
    RETURNING name, version, expires_at, sealed";
const LIST: &str = "SELECT name, version, expires_at, sealed FROM vault.entries
    WHERE name >= $1 AND name < $2 AND name > $3 AND (expires_at IS NULL OR expires_at > $4) ORDER BY name LIMIT $5";
/// Of several that insert the same name one does, and the others, who wait for it, find it there and change nothing. The
/// version is asked for again where a row is replaced: it is then drawn while that row is held.
///
/// A statement looks at the mark as it is when it has its lock on the table, which whoever replaces the key takes first and
/// keeps to the end.
const INSERT: &str = "INSERT INTO vault.entries (name, version, expires_at, sealed)
    SELECT $1::text, nextval('vault.versions'), $2::bigint, $3::bytea FROM vault.vault WHERE key_check = $5
    ON CONFLICT (name) DO UPDATE SET version = nextval('vault.versions'), expires_at = excluded.expires_at,
        sealed = excluded.sealed
    WHERE entries.expires_at <= $4 RETURNING version";
const UPDATE: &str = "UPDATE vault.entries SET version = nextval('vault.versions'), expires_at = $2, sealed = $3
    WHERE name = $1 AND version = $6 AND (expires_at IS NULL OR expires_at > $4)
    AND EXISTS (SELECT FROM vault.vault WHERE key_check = $5) RETURNING version";
const OUR_KEY: &str = "SELECT EXISTS (SELECT FROM vault.vault WHERE key_check = $1)";
const NEW_KEY: &str = "UPDATE vault.vault SET key_check = $1 WHERE key_check = $2";
const ALL: &str = "SELECT name, version, expires_at, sealed FROM vault.entries WHERE name > $1 ORDER BY name LIMIT 500";
const RESEAL: &str = "UPDATE vault.entries SET sealed = anew.sealed FROM unnest($1::text[], $2::bytea[]) AS anew (name, sealed)
    WHERE entries.name = anew.name";
const SWEEP: &str = "WITH swept AS (DELETE FROM vault.entries WHERE expires_at <= $1 RETURNING 1) SELECT count(*) FROM swept";

/// A statement with what it was given.
type Asked = Query<'static, Postgres, PgArguments>;

/// A vault in a database.
pub(crate) struct PostgresStore {
    pool: PgPool,
    /// The address without the password.
    name: String,
    keyring: Arc<Keyring>,
}

impl PostgresStore {
    /// Opens the vault of a database, and makes its tables when there are none, if it may.
    pub async fn open(url: &str, keyring: Arc<Keyring>, make: bool) -> Result<Self, VaultError> {
        let unreadable = |error: event_store::OpenError| VaultError::Unavailable("the vault".to_owned(), error.to_string());
        let address = PostgresAddress::parse(url).map_err(unreadable)?;
        let name = address.to_string();
        let options = address.options().clone().options([
            ("statement_timeout", LIMIT.as_millis().to_string()),
            // Nothing is acknowledged that the server has not synced, whatever its default is.
            ("synchronous_commit", "on".to_owned()),
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "5".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
        ]);
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the server does not answer in time").into();
        let connected = tokio::time::timeout(address.connect_timeout(), PgConnection::connect_with(&options)).await;
        let connected = connected.unwrap_or_else(|elapsed| Err(late(elapsed)));
        let mut first = connected.map_err(|error| unavailable(&name, &error))?;
        let prepared = tokio::time::timeout(2 * ANSWER, schema::prepare(&mut first, &name, &keyring, make)).await;
        prepared.unwrap_or_else(|elapsed| Err(unavailable(&name, &late(elapsed))))?;
        // How the session ends does not matter any more.
        drop(first.close().await);
        let pool = PgPoolOptions::new()
            .max_connections(SESSIONS)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .before_acquire(|session, rest| {
                Box::pin(async move { if rest.idle_for > RESTED { session.ping().await.map(|()| true) } else { Ok(true) } })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, name, keyring })
    }

    /// Asks once more on a new session when the first was dead (the server was restarted): for what changes nothing.
    async fn read(&self, ask: impl Fn() -> Asked) -> Result<Vec<PgRow>, VaultError> {
        let mut tried = self.try_once(ask()).await;
        if tried.as_ref().is_err_and(|error| answer(error).is_none() && !is_late(error)) {
            tried = self.try_once(ask()).await;
        }
        tried.map_err(|error| unavailable(&self.name, &error))
    }

    /// Asks once: when the session breaks it is not known whether the change was made.
    async fn change(&self, asked: Asked) -> Result<Vec<PgRow>, VaultError> {
        self.try_once(asked).await.map_err(|error| unavailable(&self.name, &error))
    }

    async fn try_once(&self, asked: Asked) -> sqlx::Result<Vec<PgRow>> {
        let mut session = self.pool.acquire().await?;
        match tokio::time::timeout(ANSWER, asked.fetch_all(&mut *session)).await {
            Ok(Err(error)) if answer(&error).is_none() => {
                // It would be found dead by whoever takes it next.
                session.close_on_drop();
                Err(error)
            }
            Ok(fetched) => fetched,
            Err(_) => {
                session.close_on_drop();
                Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer any more").into())
            }
        }
    }

    fn mark(&self) -> Vec<u8> {
        self.keyring.mark().to_vec()
    }

    /// The error, unless nothing was changed for another reason: the key was replaced.
    async fn or_key_replaced(&self, error: VaultError) -> VaultError {
        match self.has_our_key().await {
            Ok(true) => error,
            Ok(false) => VaultError::KeyReplaced(self.name.clone()),
            Err(unavailable) => unavailable,
        }
    }

    /// A column of an answer.
    fn column<'r, T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>>(
        &self,
        row: &'r PgRow,
        column: usize,
    ) -> Result<T, VaultError> {
        row.try_get(column).map_err(|error| unavailable(&self.name, &error))
    }

    fn row(&self, row: &PgRow) -> Result<Row, VaultError> {
        Ok(Row {
            name: self.column(row, 0)?,
            version: self.column(row, 1)?,
            expires_at: self.column(row, 2)?,
            sealed: self.column(row, 3)?,
        })
    }

    fn first(&self, rows: &[PgRow]) -> Result<Option<Row>, VaultError> {
        rows.first().map(|row| self.row(row)).transpose()
    }
}

/// What the server answered, if the error is an answer: what was asked was not done, and the session goes on.
fn answer(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    matches!(error.severity(), PgSeverity::Error).then_some(error)
}

/// Whether time has run out: trying again would take as long.
fn is_late(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::TimedOut,
        _ => false,
    }
}

/// An error of the database as ours. Neither has a password in it.
fn unavailable(name: &str, error: &sqlx::Error) -> VaultError {
    let reason = match error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) {
        Some(error) => match error.code() {
            "53100" => "the disk is full".to_owned(),
            "25006" => "the database can only be read, not written".to_owned(),
            "57014" => "it took too long".to_owned(),
            _ => error.message().to_owned(),
        },
        None => match error {
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "a file that its address names is not there: sslrootcert, sslcert, sslkey or the socket".to_owned()
            }
            sqlx::Error::PoolTimedOut => "no session with the server was free in time".to_owned(),
            error => error.to_string(),
        },
    };
    VaultError::Unavailable(name.to_owned(), reason)
}

#[async_trait]
impl Store for PostgresStore {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, name: &str, now: Moment) -> Result<Option<Row>, VaultError> {
        let rows = self.read(|| sqlx::query(GET).bind(name.to_owned()).bind(now)).await?;
        self.first(&rows)
    }

    async fn put(&self, change: Change, now: Moment) -> Result<i64, VaultError> {
        let Change { name, expected, expires_at, sealed } = change;
        let asked = |sql| sqlx::query(sql).bind(name).bind(expires_at).bind(sealed).bind(now).bind(self.mark());
        let asked = match expected {
            None => asked(INSERT),
            Some(expected) => asked(UPDATE).bind(expected),
        };
        let rows = self.change(asked).await?;
        match rows.first() {
            Some(row) => self.column(row, 0),
            None => Err(self.or_key_replaced(VaultError::Conflict).await),
        }
    }

    async fn take(&self, name: &str, now: Moment) -> Result<Option<Row>, VaultError> {
        let rows = self.change(sqlx::query(TAKE).bind(name.to_owned()).bind(self.mark())).await?;
        if rows.is_empty() && !self.has_our_key().await? {
            return Err(VaultError::KeyReplaced(self.name.clone()));
        }
        Ok(self.first(&rows)?.filter(|row| row.expires_at.is_none_or(|end| end > now)))
    }

    async fn list(&self, range: Range, now: Moment) -> Result<Vec<Row>, VaultError> {
        let Range { from, to, after, limit } = range;
        let after = after.unwrap_or_default();
        let ask = || sqlx::query(LIST).bind(from.clone()).bind(to.clone()).bind(after.clone()).bind(now).bind(i64::from(limit));
        self.read(ask).await?.iter().map(|row| self.row(row)).collect()
    }

    async fn has_our_key(&self) -> Result<bool, VaultError> {
        let rows = self.read(|| sqlx::query(OUR_KEY).bind(self.mark())).await?;
        Ok(rows.first().map(|row| self.column(row, 0)).transpose()?.unwrap_or(false))
    }

    async fn sweep(&self, now: Moment) -> Result<u64, VaultError> {
        let rows = self.change(sqlx::query(SWEEP).bind(now)).await?;
        let swept: i64 = rows.first().map(|row| self.column(row, 0)).transpose()?.unwrap_or(0);
        Ok(swept.unsigned_abs())
    }

    async fn purge(&self) -> Result<(), VaultError> {
        let refused = |error: sqlx::Error| unavailable(&self.name, &error);
        let mut session = self.pool.acquire().await.map_err(refused)?;
        // Nobody else gets a session whose statements may take so long, also when whoever waits here goes away.
        session.close_on_drop();
        let limit = format!("SET statement_timeout = {}", VACUUM.as_millis());
        let vacuuming = async {
            sqlx::query(&limit).execute(&mut *session).await?;
            sqlx::query("VACUUM vault.entries").execute(&mut *session).await
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the server does not answer any more").into();
        let vacuumed = tokio::time::timeout(VACUUM + ANSWER, vacuuming).await;
        vacuumed.unwrap_or_else(|elapsed| Err(late(elapsed))).map(drop).map_err(refused)
    }

    async fn rekey(&self, reseal: Reseal, check: Vec<u8>) -> Result<u64, VaultError> {
        let refused = |error: sqlx::Error| unavailable(&self.name, &error);
        let mut session = self.pool.acquire().await.map_err(refused)?;
        let mut transaction = session.begin().await.map_err(refused)?;
        sqlx::query("LOCK TABLE vault.entries IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await.map_err(refused)?;
        let marked = sqlx::query(NEW_KEY).bind(check).bind(self.mark()).execute(&mut *transaction).await.map_err(refused)?;
        if marked.rows_affected() != 1 {
            return Err(VaultError::KeyReplaced(self.name.clone()));
        }
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let page = sqlx::query(ALL).bind(after.clone()).fetch_all(&mut *transaction).await.map_err(refused)?;
            let rows: Vec<Row> = page.iter().map(|row| self.row(row)).collect::<Result<_, _>>()?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.name);
            count += rows.len() as u64;
            let sealed: Vec<Vec<u8>> = rows.iter().map(|row| reseal(row)).collect::<Result<_, _>>()?;
            let names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
            sqlx::query(RESEAL).bind(names).bind(sealed).execute(&mut *transaction).await.map_err(refused)?;
        }
        transaction.commit().await.map_err(refused)?;
        Ok(count)
    }
}
