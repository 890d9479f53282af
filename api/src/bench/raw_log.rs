//! The baseline: a group commit with nothing around it. Rows of a given size into a bare SQLite table, each caller waiting
//! until its own row is durable.

use std::path::Path;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// Rows in one transaction at most; the engine's own limit.
const MOST_ROWS: usize = 2048;

/// A table of bodies behind one writer thread.
#[derive(Clone)]
pub(super) struct RawLog {
    queue: mpsc::Sender<oneshot::Sender<()>>,
}

impl RawLog {
    /// Opens a table in a new file and writes bodies of `body_bytes` to it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(path: &Path, body_bytes: usize) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch("CREATE TABLE events (position INTEGER PRIMARY KEY, body TEXT NOT NULL)")?;
        let (queue, requests) = mpsc::channel(4096);
        let body = "x".repeat(body_bytes);
        std::thread::Builder::new()
            .name("raw-log".to_owned())
            .spawn(move || {
                if let Err(error) = write(connection, requests, &body) {
                    tracing::error!(%error, "the baseline's writer stopped");
                }
            })
            .map_err(|_| rusqlite::Error::InvalidQuery)?;
        Ok(Self { queue })
    }

    /// Writes one row and returns when it is durable; false when the writer has stopped.
    pub async fn append(&self) -> bool {
        let (done, durable) = oneshot::channel();
        self.queue.send(done).await.is_ok() && durable.await.is_ok()
    }
}

fn write(mut connection: Connection, mut requests: mpsc::Receiver<oneshot::Sender<()>>, body: &str) -> rusqlite::Result<()> {
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
        for done in waiting.drain(..) {
            // A caller that has gone away is not told.
            let _ = done.send(());
        }
    }
    Ok(())
}
