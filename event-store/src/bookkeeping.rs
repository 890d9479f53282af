//! What the engine keeps beside the log: snapshots, and how far each process has come. All of it can be lost without
//! losing an event: snapshots are folded again, and a process that repeats itself is recognised by its command ids.

use std::time::Duration;

use async_trait::async_trait;
use event_schemas::{Position, Sequence, StreamId, Timestamp};
use uuid::Uuid;

use crate::ReadError;

/// The state of one aggregate at one sequence, so that a long stream need not be read from its start.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Whose state it is.
    pub stream: StreamId,
    /// The last event folded into it.
    pub sequence: Sequence,
    /// The version of the state's shape: a snapshot of another version is ignored.
    pub state_version: u32,
    /// The state as JSON text.
    pub state: String,
}

/// Work that a process has put off: a deadline, a retry after a failure, or (without a due time) a dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The process that put it off.
    pub process: String,
    /// What it is about, unique within the process, such as `order/0197…`.
    pub key: String,
    /// The event that it goes back to.
    pub position: Position,
    /// When to take it up; none for a dead letter, which waits for an operator.
    pub due_at: Option<Timestamp>,
    /// How often it has failed.
    pub attempts: u32,
    /// What went wrong last, if anything did.
    pub last_error: Option<String>,
}

/// A step of a process, saved as one: tasks and checkpoint together or not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The process.
    pub process: String,
    /// Every event up to here is done or put off; none, or one before the checkpoint, leaves that where it is.
    pub checkpoint: Option<Position>,
    /// Tasks to put (a task with the same key is replaced).
    pub put: Vec<Task>,
    /// Keys of tasks that are done. Removed before `put` is put.
    pub done: Vec<String>,
}

/// The engine's notes beside the log.
#[async_trait]
pub trait Bookkeeping: Send + Sync + 'static {
    /// The newest snapshot of each stream, if there is one, in the order asked.
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError>;

    /// Up to `limit` of the snapshots that are kept, in the order of their streams (by type and then by id, both by bytes), those
    /// behind a stream if one is named. For who checks them: a decision loads those that it needs.
    async fn list_snapshots(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<Snapshot>, ReadError>;

    /// Saves snapshots; an older one of the same stream is replaced, a newer one is kept.
    async fn save_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), ReadError>;

    /// How far a process has come; 0 when it has not begun.
    async fn checkpoint(&self, process: &str) -> Result<Position, ReadError>;

    /// Takes or keeps a process's turn: of the nodes that share a log one at a time works on it. True when `holder` has it
    /// for `time` from now, by the log's clock; false while another holder's time is not over. Time 0 gives it back.
    ///
    /// A courtesy that saves work: two nodes at the same process repeat each other, and every repetition is recognised. A
    /// log that one node has to itself always says yes.
    async fn take_turn(&self, process: &str, holder: Uuid, time: Duration) -> Result<bool, ReadError> {
        let _ = (process, holder, time);
        Ok(true)
    }

    /// Saves a step of a process.
    async fn save_progress(&self, progress: Progress) -> Result<(), ReadError>;

    /// Up to `limit` tasks of a process that are due at `now`, the longest overdue first.
    async fn due_tasks(&self, process: &str, now: Timestamp, limit: usize) -> Result<Vec<Task>, ReadError>;

    /// When the next task of a process is due, if any is waiting.
    async fn next_due(&self, process: &str) -> Result<Option<Timestamp>, ReadError>;

    /// The dead letters of all processes, oldest first.
    async fn dead_letters(&self) -> Result<Vec<Task>, ReadError>;
}
