//! A log as it would be: each order as it would have been placed, and everything else as it was. Nothing can be written to it.

use std::sync::Arc;

use async_trait::async_trait;
use event_schemas::{CommerceEvent, OrderEvent, Position, Proposed, Recorded, Sequence, StreamId, Timestamp};
use event_store::{AppendError, Bookkeeping, Head, Log, ReadError, Snapshot, Task};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    reprice::{Effects, Repriced, reprice},
    rules::Supposed,
};

/// Another log's events under a supposition. It has an identity of its own, so that no view of the shop is ever mistaken for one
/// of it.
pub(super) struct SupposedLog {
    pub(super) log: Arc<dyn Log>,
    pub(super) effects: Effects,
    pub(super) supposed: Supposed,
    pub(super) id: Uuid,
}

impl std::fmt::Debug for SupposedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SupposedLog").field("supposed", &self.supposed).finish_non_exhaustive()
    }
}

impl SupposedLog {
    fn supposed(&self, records: Vec<Recorded>) -> Result<Vec<Recorded>, ReadError> {
        records.into_iter().map(|record| self.supposed_record(record)).collect()
    }

    fn supposed_record(&self, mut record: Recorded) -> Result<Recorded, ReadError> {
        if record.event.event_type != "OrderPlaced" {
            return Ok(record);
        }
        let position = record.position;
        let damaged = |reason: String| ReadError::Damaged { position, reason };
        let events = record.decode().map_err(|error| damaged(error.to_string()))?;
        let [CommerceEvent::Order(OrderEvent::OrderPlaced(order))] = &*events else { return Ok(record) };
        let repriced = reprice(order, record.event.occurred_at, &self.effects, &self.supposed);
        let Repriced::To(order) = repriced.map_err(|error| damaged(error.to_string()))? else { return Ok(record) };
        let event = CommerceEvent::from(OrderEvent::from(*order));
        record.event.event_version = event.version();
        record.event.payload = event.payload().map_err(|error| damaged(error.to_string()))?;
        Ok(Recorded::at(position, record.event))
    }
}

fn only_supposed() -> String {
    "what is only supposed cannot be written".to_owned()
}

#[async_trait]
impl Log for SupposedLog {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn append(&self, _: Position, _: Vec<Proposed>) -> Result<Position, AppendError> {
        Err(AppendError::Unavailable(only_supposed()))
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.supposed(self.log.read(after, limit).await?)
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.supposed(self.log.read_stream(stream, after, limit).await?)
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        let read = self.log.read_streams(streams, limit).await?;
        read.into_iter().map(|records| self.supposed(records)).collect()
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        self.log.find_scopes(scopes).await
    }

    async fn head(&self) -> Result<Head, ReadError> {
        self.log.head().await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.log.watch()
    }
}

/// Nothing is kept beside what is only supposed.
#[async_trait]
impl Bookkeeping for SupposedLog {
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
        Ok(vec![None; streams.len()])
    }

    async fn list_snapshots(&self, _: Option<StreamId>, _: usize) -> Result<Vec<Snapshot>, ReadError> {
        Ok(Vec::new())
    }

    async fn save_snapshots(&self, _: Vec<Snapshot>) -> Result<(), ReadError> {
        Err(ReadError::Unavailable(only_supposed()))
    }

    async fn checkpoint(&self, _: &str) -> Result<Position, ReadError> {
        Ok(0)
    }

    async fn save_progress(&self, _: event_store::Progress) -> Result<(), ReadError> {
        Err(ReadError::Unavailable(only_supposed()))
    }

    async fn due_tasks(&self, _: &str, _: Timestamp, _: usize) -> Result<Vec<Task>, ReadError> {
        Ok(Vec::new())
    }

    async fn next_due(&self, _: &str) -> Result<Option<Timestamp>, ReadError> {
        Ok(None)
    }

    async fn dead_letters(&self) -> Result<Vec<Task>, ReadError> {
        Ok(Vec::new())
    }
}
