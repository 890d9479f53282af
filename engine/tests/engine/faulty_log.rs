//! A log that does what a real store does on a bad day, when told to.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
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
    /// The answer is lost, and so was the batch.
    UnknownLost,
    /// The answer is lost, the batch was written.
    UnknownWritten,
    /// It waits to be let go, then meets the next fate.
    Held(Arc<Notify>),
}

pub struct FaultyLog {
    inner: MemoryLog,
    fates: Mutex<VecDeque<Fate>>,
    appends: AtomicUsize,
    stream_reads: AtomicUsize,
    rival: AtomicUsize,
    looks: AtomicUsize,
    turns_asked: AtomicUsize,
    turns_of_others: AtomicBool,
    late: AtomicBool,
}

impl FaultyLog {
    pub fn new() -> Self {
        let inner = MemoryLog::new();
        let ([appends, stream_reads, rival, looks, turns_asked], [turns_of_others, late], fates) = Default::default();
        Self { inner, fates, appends, stream_reads, rival, looks, turns_asked, turns_of_others, late }
    }

    /// The next appends meet these fates; later ones are written.
    pub fn doom(&self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.lock().unwrap().extend(fates);
    }

    /// Another node writes an event now and after each look at the log from now on, up to so many.
    pub async fn rival(&self, times: usize) {
        self.rival.store(times, Ordering::SeqCst);
        self.others_write().await;
    }

    /// How often the other node may still write.
    pub fn rival_left(&self) -> usize {
        self.rival.load(Ordering::SeqCst)
    }

    /// Another node writes, to a stream of its own.
    async fn others_write(&self) {
        let turn = |left: usize| left.checked_sub(1);
        let Ok(left) = self.rival.fetch_update(Ordering::SeqCst, Ordering::SeqCst, turn) else { return };
        let mut last = self.all().await.pop().unwrap();
        last.event.event_id = Uuid::now_v7();
        last.event.stream.aggregate_id = format!("RIVAL-{left}@main");
        last.event.sequence = 1;
        self.inner.append(last.position, vec![last.event]).await.unwrap();
    }

    /// The turn of every process is another node's from now on.
    pub fn give_turns_to_others(&self) {
        self.turns_of_others.store(true, Ordering::SeqCst);
    }

    /// How often anybody asked for the turn of a process.
    pub fn turns_asked(&self) -> usize {
        self.turns_asked.load(Ordering::SeqCst)
    }

    /// How often anybody asked for a process's checkpoint or for the head.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// From now on the time comes late, and is an hour off.
    pub fn tell_time_late(&self) {
        self.late.store(true, Ordering::SeqCst);
    }

    pub fn appends(&self) -> usize {
        self.appends.load(Ordering::SeqCst)
    }

    /// Events handed out by stream reads so far.
    pub fn stream_reads(&self) -> usize {
        self.stream_reads.load(Ordering::SeqCst)
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
        self.appends.fetch_add(1, Ordering::SeqCst);
        loop {
            let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Written);
            match fate {
                Fate::Written => return self.inner.append(head, batch).await,
                Fate::NotWritten => return Err(AppendError::Unavailable("the disk is full".to_owned())),
                Fate::UnknownLost => return Err(AppendError::OutcomeUnknown("the connection was lost".to_owned())),
                Fate::UnknownWritten => {
                    self.inner.append(head, batch).await?;
                    return Err(AppendError::OutcomeUnknown("the connection was lost".to_owned()));
                }
                Fate::Held(go) => go.notified().await,
            }
        }
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let page = self.inner.read(after, limit).await;
        self.others_write().await;
        page
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.inner.read_stream(stream, after, limit).await
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        let events = self.inner.read_streams(streams, limit).await?;
        self.stream_reads.fetch_add(events.iter().map(Vec::len).sum(), Ordering::SeqCst);
        Ok(events)
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        self.inner.find_scopes(scopes).await
    }

    async fn now(&self) -> Result<Timestamp, ReadError> {
        let now = self.inner.now().await?;
        if !self.late.load(Ordering::SeqCst) {
            return Ok(now);
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        Ok(now + Duration::from_secs(3_600))
    }

    async fn head(&self) -> Result<Head, ReadError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
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

    async fn take_turn(&self, process: &str, holder: Uuid, time: Duration) -> Result<bool, ReadError> {
        self.turns_asked.fetch_add(1, Ordering::SeqCst);
        Ok(!self.turns_of_others.load(Ordering::SeqCst) && self.inner.take_turn(process, holder, time).await?)
    }

    async fn checkpoint(&self, process: &str) -> Result<Position, ReadError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
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
