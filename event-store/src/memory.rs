//! A log in memory, for tests and for worlds that need not outlive the process.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp, to_micros};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    AppendError, Bookkeeping, Head, Log, Progress, ReadError, Snapshot, Task,
    batch::{broken_link, check_batch, repeated_scope, stored},
};

/// A log that lives and dies with the process.
#[derive(Debug)]
pub struct MemoryLog {
    id: Uuid,
    contents: Mutex<Contents>,
    watch: watch::Sender<Position>,
}

#[derive(Debug, Default)]
struct Contents {
    events: Vec<Recorded>,
    streams: HashMap<StreamId, Vec<Position>>,
    scopes: HashMap<String, Position>,
    snapshots: HashMap<StreamId, Snapshot>,
    checkpoints: HashMap<String, Position>,
    tasks: BTreeMap<(String, String), Task>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log with an identity of its own.
    pub fn new() -> Self {
        Self::with_id(Uuid::now_v7())
    }

    /// An empty log with the identity of another, to hold the same things under the same ids.
    pub fn with_id(id: Uuid) -> Self {
        Self { id, contents: Mutex::default(), watch: watch::Sender::new(0) }
    }

    /// Nothing panics while it holds the lock, so what a poisoned lock guards is whole.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn head(&self) -> Head {
        let last = self.events.last();
        Head { position: last.map_or(0, |last| last.position), recorded_at: last.map(|last| last.event.recorded_at) }
    }

    fn append(&mut self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        let end = self.head();
        if end.position != head {
            return Err(AppendError::HeadMoved { head: end.position });
        }
        for (stream, after) in check_batch(&end, &batch)? {
            if self.streams.get(stream).map_or(0, Vec::len) as Sequence != after {
                return Err(broken_link(stream, after));
            }
        }
        self.check_scopes(&batch)?;
        for (event, position) in batch.into_iter().zip(head + 1..) {
            let event = stored(event);
            self.streams.entry(event.stream.clone()).or_default().push(position);
            if let Some(scope) = &event.idempotency_scope {
                self.scopes.insert(scope.clone(), position);
            }
            self.events.push(Recorded::at(position, event));
        }
        Ok(self.head().position)
    }

    fn check_scopes(&self, batch: &[Proposed]) -> Result<(), AppendError> {
        let mut within = HashSet::new();
        for event in batch {
            let Some(scope) = &event.idempotency_scope else { continue };
            if self.scopes.contains_key(scope) || !within.insert(scope) {
                return Err(repeated_scope(event));
            }
        }
        Ok(())
    }

    fn stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Vec<Recorded> {
        let positions = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let wanted = positions.iter().skip(index(after)).take(limit);
        wanted.filter_map(|position| self.events.get(index(position - 1)).cloned()).collect()
    }
}

/// Where a position or sequence stands in a list; beyond every list when it does not fit.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[async_trait]
impl Log for MemoryLog {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn append(&self, head: Position, batch: Vec<Proposed>) -> Result<Position, AppendError> {
        let head = self.contents().append(head, batch)?;
        self.watch.send_if_modified(|known| std::mem::replace(known, (*known).max(head)) < head);
        Ok(head)
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        Ok(self.contents().events.iter().skip(index(after)).take(limit).cloned().collect())
    }

    async fn digests(&self, after: Position, limit: usize) -> Result<Vec<[u8; 32]>, ReadError> {
        Ok(self.contents().events.iter().skip(index(after)).take(limit).map(|recorded| recorded.digest).collect())
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        Ok(self.contents().stream(stream, after, limit))
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        let contents = self.contents();
        Ok(streams.iter().map(|(stream, after)| contents.stream(stream, *after, limit)).collect())
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        let contents = self.contents();
        Ok(scopes.iter().map(|scope| contents.scopes.get(scope).copied()).collect())
    }

    async fn head(&self) -> Result<Head, ReadError> {
        Ok(self.contents().head())
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.watch.subscribe()
    }
}

#[async_trait]
impl Bookkeeping for MemoryLog {
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
        let contents = self.contents();
        Ok(streams.iter().map(|stream| contents.snapshots.get(stream).cloned()).collect())
    }

    async fn list_snapshots(&self, after: Option<StreamId>, limit: usize) -> Result<Vec<Snapshot>, ReadError> {
        let contents = self.contents();
        let is_behind = |snapshot: &&Snapshot| after.as_ref().is_none_or(|after| snapshot.stream > *after);
        let mut kept: Vec<&Snapshot> = contents.snapshots.values().filter(is_behind).collect();
        kept.sort_by(|one, other| one.stream.cmp(&other.stream));
        Ok(kept.into_iter().take(limit).cloned().collect())
    }

    async fn save_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), ReadError> {
        let mut contents = self.contents();
        for snapshot in snapshots {
            let newer = contents.snapshots.get(&snapshot.stream).is_some_and(|kept| kept.sequence > snapshot.sequence);
            if !newer {
                contents.snapshots.insert(snapshot.stream.clone(), snapshot);
            }
        }
        Ok(())
    }

    async fn checkpoint(&self, process: &str) -> Result<Position, ReadError> {
        Ok(self.contents().checkpoints.get(process).copied().unwrap_or(0))
    }

    async fn save_progress(&self, progress: Progress) -> Result<(), ReadError> {
        let mut contents = self.contents();
        for key in progress.done {
            contents.tasks.remove(&(progress.process.clone(), key));
        }
        for task in progress.put {
            let task = Task { process: progress.process.clone(), due_at: task.due_at.map(to_micros), ..task };
            contents.tasks.insert((task.process.clone(), task.key.clone()), task);
        }
        if let Some(checkpoint) = progress.checkpoint {
            let kept = contents.checkpoints.entry(progress.process).or_default();
            *kept = checkpoint.max(*kept);
        }
        Ok(())
    }

    async fn due_tasks(&self, process: &str, now: Timestamp, limit: usize) -> Result<Vec<Task>, ReadError> {
        let contents = self.contents();
        let due = contents.tasks.values().filter(|task| task.process == process && task.due_at.is_some_and(|due| due <= now));
        let mut due: Vec<Task> = due.cloned().collect();
        due.sort_by(|a, b| (a.due_at, a.position, &a.key).cmp(&(b.due_at, b.position, &b.key)));
        due.truncate(limit);
        Ok(due)
    }

    async fn next_due(&self, process: &str) -> Result<Option<Timestamp>, ReadError> {
        let contents = self.contents();
        Ok(contents.tasks.values().filter(|task| task.process == process).filter_map(|task| task.due_at).min())
    }

    async fn dead_letters(&self) -> Result<Vec<Task>, ReadError> {
        let contents = self.contents();
        let mut dead: Vec<Task> = contents.tasks.values().filter(|task| task.due_at.is_none()).cloned().collect();
        dead.sort_by(|a, b| (a.position, &a.process, &a.key).cmp(&(b.position, &b.process, &b.key)));
        Ok(dead)
    }
}
