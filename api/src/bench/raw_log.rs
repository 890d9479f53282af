//! The baseline: a group commit with nothing around it. Rows of a given size into a bare table, each caller waiting until its
//! own row is durable. A file has the settings of the log's.

use std::path::Path;

use async_trait::async_trait;
use event_store::PostgresAddress;
use rusqlite::Connection;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::{mpsc, oneshot};

use super::{
    BenchError,
    contender::{Contender, Slice},
};

/// Rows in one transaction at most; the engine's own limit.
const MOST_ROWS: usize = 2048;

/// A table of bodies behind one writer.
pub(super) struct RawLog {
    queue: mpsc::Sender<oneshot::Sender<()>>,
}

type Requests = mpsc::Receiver<oneshot::Sender<()>>;

impl RawLog {
    /// A table in a new SQLite file, for bodies of `body_bytes`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn sqlite(path: &Path, body_bytes: usize) -> Result<Self, BenchError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // As the log sets them: by itself SQLite would copy its write-ahead log into the file eight times as often.
        connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        connection.pragma_update(None, "cache_size", -32_768)?;
        connection.execute_batch("CREATE TABLE events (position INTEGER PRIMARY KEY, body TEXT NOT NULL)")?;
        let (queue, requests) = mpsc::channel(4096);
        let body = "x".repeat(body_bytes);
        std::thread::Builder::new().name("raw-log".to_owned()).spawn(move || {
            if let Err(error) = write(connection, requests, &body) {
                tracing::error!(%error, "the baseline's writer stopped");
            }
        })?;
        Ok(Self { queue })
    }

    /// A table beside the log in a PostgreSQL database, for bodies of `body_bytes`. What an earlier measurement left in it is
    /// dropped.
    ///
    /// # Errors
    /// When the table cannot be made.
    pub async fn postgres(address: &PostgresAddress, body_bytes: usize) -> Result<Self, BenchError> {
        let mut session = PgConnection::connect_with(address.options()).await?;
        session.execute("SET synchronous_commit = on; DROP TABLE IF EXISTS daybook_bench").await?;
        session.execute("CREATE TABLE daybook_bench (position bigint PRIMARY KEY, body text NOT NULL)").await?;
        let (queue, requests) = mpsc::channel(4096);
        let body = "x".repeat(body_bytes);
        tokio::spawn(async move {
            if let Err(error) = insert(session, requests, body).await {
                tracing::error!(%error, "the baseline's writer stopped");
            }
        });
        Ok(Self { queue })
    }
}

#[async_trait]
impl Contender for RawLog {
    fn name(&self) -> &'static str {
        "raw"
    }

    /// Writes one row and returns when it is durable.
    async fn command(&self, _caller: usize, _slice: Slice) -> Result<(), BenchError> {
        let (done, durable) = oneshot::channel();
        self.queue.send(done).await.map_err(|_| BenchError::BaselineStopped)?;
        durable.await.map_err(|_| BenchError::BaselineStopped)
    }
}

fn write(mut connection: Connection, mut requests: Requests, body: &str) -> rusqlite::Result<()> {
    let mut waiting = Vec::new();
    while requests.blocking_recv_many(&mut waiting, MOST_ROWS) > 0 {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO events (body) VALUES (?1)")?;
            for _ in &waiting {
                insert.execute([body])?;
            }
        }
        transaction.commit()?;
        tell(&mut waiting);
    }
    Ok(())
}

/// As the log does it: one statement by itself for all rows that wait.
async fn insert(mut session: PgConnection, mut requests: Requests, body: String) -> Result<(), sqlx::Error> {
    const INSERT: &str =
        "INSERT INTO daybook_bench SELECT $1 + place, body FROM UNNEST($2::text[]) WITH ORDINALITY AS batch (body, place)";
    let (mut waiting, mut position) = (Vec::new(), 0_i64);
    while requests.recv_many(&mut waiting, MOST_ROWS).await > 0 {
        let bodies = vec![body.as_str(); waiting.len()];
        let written = sqlx::query(INSERT).bind(position).bind(bodies).execute(&mut session).await?;
        position += written.rows_affected().cast_signed();
        tell(&mut waiting);
    }
    session.execute("DROP TABLE daybook_bench").await?;
    session.close().await
}

fn tell(waiting: &mut Vec<oneshot::Sender<()>>) {
    for done in waiting.drain(..) {
        // A caller that has gone away is not told.
        let _ = done.send(());
    }
}
