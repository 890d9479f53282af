//! A log in memory that does what a real store does on a bad day, when told to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp};
use event_store::{AppendError, Bookkeeping, Head, Log, MemoryLog, Progress, ReadError, Snapshot, Task};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// What befalls an append.
pub enum Fate {
    /// It is written.
    Written,
    /// The disk is full: nothing is written.
    NotWritten,
    /// It is written, and tells so; but nobody is ever answered.
    WrittenUnheard(Arc<Notify>),
}

#[derive(Default)]
pub struct FaultyLog {
    inner: MemoryLog,
    fates: Mutex<VecDeque<Fate>>,
}

impl FaultyLog {
    /// The next appends meet these fates; later ones are written.
    pub fn doom(&self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.lock().unwrap().extend(fates);
    }

    pub async fn all(&self) -> Vec<Recorded> {
        self.inner.read(0, usize::MAX).await.unwrap()
    }
}

#[async_trait]
impl Log for FaultyLog {
    fn id(&self) -> Uuid {
        self.inner.id()
    }

    async fn append(&self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Written);
        match fate {
            Fate::Written => self.inner.append(head, batch).await,
            Fate::NotWritten => Err(AppendError::Unavailable("the disk is full".to_owned())),
            Fate::WrittenUnheard(written) => {
                self.inner.append(head, batch).await?;
                written.notify_one();
                std::future::pending().await
            }
        }
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.inner.read(after, limit).await
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.inner.read_stream(stream, after, limit).await
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        self.inner.read_streams(streams, limit).await
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        self.inner.find_scopes(scopes).await
    }

    async fn head(&self) -> Result<Head, ReadError> {
        self.inner.head().await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.inner.watch()
    }
}

#[async_trait]
impl Bookkeeping for FaultyLog {
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
        self.inner.load_snapshots(streams).await
    }

    async fn list_snapshots(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<Snapshot>, ReadError> {
        self.inner.list_snapshots(after, limit).await
    }

    async fn save_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), ReadError> {
        self.inner.save_snapshots(snapshots).await
    }

    async fn checkpoint(&self, process: &str) -> Result<Position, ReadError> {
        self.inner.checkpoint(process).await
    }

    async fn save_progress(&self, progress: Progress) -> Result<(), ReadError> {
        self.inner.save_progress(progress).await
    }

    async fn due_tasks(&self, process: &str, now: Timestamp, limit: usize) -> Result<Vec<Task>, ReadError> {
        self.inner.due_tasks(process, now, limit).await
    }

    async fn next_due(&self, process: &str) -> Result<Option<Timestamp>, ReadError> {
        self.inner.next_due(process).await
    }

    async fn dead_letters(&self) -> Result<Vec<Task>, ReadError> {
        self.inner.dead_letters().await
    }
}
