//! The log's trait: what every adapter promises, held by one contract suite.

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp, to_micros};
use tokio::sync::watch;
use uuid::Uuid;

use crate::Bookkeeping;

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last position; 0 when the log is empty.
    pub position: Position,
    /// When that event was recorded; none when the log is empty. `recorded_at` never goes back along the log.
    pub recorded_at: Option<Timestamp>,
}

/// Why a batch was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Another writer was faster, or the log was reached anew and may not be what it was: nothing of the batch was written. Look
    /// at the log, and decide again upon what is new there.
    #[error("the log has moved on to position {head}")]
    HeadMoved {
        /// Where the log ends now.
        head: Position,
    },
    /// The store did not say whether the batch was written. Look for it before answering anyone.
    #[error("the store did not say whether the batch was written: {0}")]
    OutcomeUnknown(String),
    /// Nothing of the batch was written: the disk is full or read-only, the database is away.
    #[error("the log cannot be written: {0}")]
    Unavailable(String),
    /// The batch breaks a rule of the log (a gap or repeat in a stream, a repeated idempotency scope, a
    /// time that goes back): a bug of the caller.
    #[error("the batch breaks a rule of the log: {0}")]
    Invalid(String),
}

/// Why the log could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The store cannot be reached, or does not read or keep what it should.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// What is stored is not what an append left there.
    #[error("the log is damaged at position {position}: {reason}")]
    Damaged {
        /// The first position that is missing or unreadable.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a log could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The file or database is not a log of Daybook.
    #[error("{0} is not a Daybook log: {1}")]
    NotALog(String, String),
    /// A newer version of Daybook wrote it.
    #[error("{name} has format {found}, and this version of Daybook knows up to {known}; use the newer version")]
    Newer {
        /// The file or database.
        name: String,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// It cannot be opened.
    #[error("{0} cannot be opened: {1}")]
    Unavailable(String, String),
}

/// How to open a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Never change it; it must exist.
    pub read_only: bool,
    /// Do not sync (or, on PostgreSQL, put up with a server that does not), which loses acknowledged events in a power cut. Only for the test that shows that it would notice.
    #[doc(hidden)]
    pub without_sync: bool,
}

/// An append-only, totally ordered, durable log of events.
///
/// Positions are gapless, start at 1 and are in commit order, so a reader that has seen position `n` and asks for what is
/// after `n` never misses an event.
#[async_trait]
pub trait Log: Bookkeeping {
    /// The log's identity, made when the log was made: a checkpoint of another log is never followed.
    fn id(&self) -> Uuid;

    /// Appends `batch` directly after `head`, all of it or nothing, durable before it returns, and gives the new head.
    ///
    /// The batch is on its way once the future was first polled; it is written even if the future is dropped then. Event
    /// ids are the caller's to make unique: a log refuses a repeated sequence or idempotency scope, not a repeated event id.
    ///
    /// # Errors
    /// See [`AppendError`]; after anything but [`AppendError::OutcomeUnknown`] nothing was written.
    async fn append(&self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError>;

    /// Up to `limit` events after `after`, in order; fewer only at the end of the log. A hole is an error, never skipped.
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError>;

    /// The digests of up to `limit` events after `after`, in order; fewer only at the end of the log. A hole is an error, never
    /// skipped. They are as they are stored: whether they match the events is for who reads those to see.
    async fn digests(&self, after: Position, limit: usize) -> Result<Vec<[u8; 32]>, ReadError> {
        Ok(self.read(after, limit).await?.into_iter().map(|recorded| recorded.digest).collect())
    }

    /// Up to `limit` events of one stream after a sequence, in order. A hole is an error, never skipped.
    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError>;

    /// Up to `limit` events of each stream after the sequence named with it, in one consistent read, in the order asked.
    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError>;

    /// The position of the event that carries each idempotency scope, if the log has it, in the order asked.
    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError>;

    /// Where the log ends.
    async fn head(&self) -> Result<Head, ReadError>;

    /// The time that all nodes of this log agree on: its server's, or this machine's for a log that has no server.
    async fn now(&self) -> Result<Timestamp, ReadError> {
        Ok(to_micros(chrono::Utc::now()))
    }

    /// Tells when the head may have moved. A hint: a reader that relies on it polls as well.
    fn watch(&self) -> watch::Receiver<Position>;
}
