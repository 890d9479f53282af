//! A log as it was: what another log held up to a moment. It ends there for good, and nothing can be written to it.

use std::sync::Arc;

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp, rfc3339};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{AppendError, Bookkeeping, Head, Log, Moment, Progress, ReadError, Snapshot, Task, moment::recorded_by};

/// How many events are read at once while the end is looked for.
const PAGE: usize = 2_000;

/// Why a log cannot be shown as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PastError {
    /// The moment is a position that the log has not reached.
    #[error("the log ends at position {head}, before position {position}")]
    NotYet {
        /// The position that was asked for.
        position: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The moment is a time that has not come: what is true then, nobody knows yet.
    #[error("{moment} has not come yet: it is {} now", rfc3339(*now))]
    YetToCome {
        /// The moment that was asked for.
        moment: Moment,
        /// The log's time.
        now: Timestamp,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Where a log ends, also if its last event is damaged: that is found when it is read.
///
/// # Errors
/// If the log cannot be read.
pub async fn end_of(log: &dyn Log) -> Result<Position, ReadError> {
    match log.head().await {
        Err(ReadError::Damaged { position, .. }) if position > 0 => Ok(position),
        head => Ok(head?.position),
    }
}

impl Moment {
    /// Makes sure that it has come: a position by the log's end, a time by the log's clock. What the log has recorded has come,
    /// whatever the clock says.
    ///
    /// # Errors
    /// If it has not, or the log cannot be read.
    pub async fn has_come(self, log: &dyn Log) -> Result<(), PastError> {
        if let Self::Position(position) = self {
            let head = end_of(log).await?;
            return if position > head { Err(PastError::NotYet { position, head }) } else { Ok(()) };
        }
        let now = log.now().await?;
        if !self.is_yet_to_come(now) {
            return Ok(());
        }
        let now = log.head().await?.recorded_at.map_or(now, |recorded_at| recorded_at.max(now));
        if self.is_yet_to_come(now) { Err(PastError::YetToCome { moment: self, now }) } else { Ok(()) }
    }
}

/// A log up to a moment. What is appended to the log after this was opened is not in it, whatever its time.
///
/// Up to a position or a recorded time it is a beginning of the log, event by event the same. Up to a time of the world
/// ([`Moment::Occurred`]) it is what had happened by then: positions stay what they are, and those of what happened later are
/// missing, so that only folds should read it, not checks.
pub struct PastLog {
    log: Arc<dyn Log>,
    moment: Moment,
    /// The last event that belongs to it.
    end: Head,
    watch: watch::Sender<Position>,
}

impl std::fmt::Debug for PastLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PastLog").field("moment", &self.moment).field("end", &self.end).finish()
    }
}

impl PastLog {
    /// The log as it was at a moment.
    ///
    /// # Errors
    /// If the log has not come that far, the time has not come yet, or the log cannot be read.
    pub async fn at(log: Arc<dyn Log>, moment: Moment) -> Result<Self, PastError> {
        moment.has_come(&*log).await?;
        let position = match moment {
            Moment::Position(position) => position,
            Moment::Recorded(time) => recorded_by(&*log, time).await?,
            Moment::Occurred(_) => last_of(&*log, moment).await?,
        };
        let last = if position == 0 { None } else { log.read(position - 1, 1).await?.pop() };
        let end = Head { position, recorded_at: last.map(|last| last.event.recorded_at) };
        Ok(Self { log, moment, end, watch: watch::Sender::new(position) })
    }

    /// The moment that it was opened for.
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// Where it ends.
    pub fn end(&self) -> Head {
        self.end
    }

    /// Whether an event belongs to it.
    fn holds(&self, record: &Recorded) -> bool {
        record.position <= self.end.position && self.moment.includes(record)
    }

    /// The events of a stream that belong to it; all that are read may be of later.
    async fn stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let (mut found, mut after) = (Vec::new(), after);
        loop {
            let page = self.log.read_stream(stream, after, limit).await?;
            let Some(last) = page.last() else { return Ok(found) };
            let is_over = page.len() < limit || last.position > self.end.position;
            after = last.event.sequence;
            found.extend(page.into_iter().filter(|record| self.holds(record)));
            if is_over || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }
}

/// The last position that belongs to a moment; 0 if there is none. Reads the whole log.
async fn last_of(log: &dyn Log, moment: Moment) -> Result<Position, ReadError> {
    let (mut at, mut last) = (0, 0);
    loop {
        let page = log.read(at, PAGE).await?;
        let Some(end) = page.last() else { return Ok(last) };
        at = end.position;
        last = page.iter().rfind(|record| moment.includes(record)).map_or(last, |record| record.position);
    }
}

fn is_past() -> String {
    "this is the log as it was, and what was cannot be changed".to_owned()
}

#[async_trait]
impl Log for PastLog {
    fn id(&self) -> Uuid {
        self.log.id()
    }

    async fn append(&self, _: Position, _: Vec<Proposed>) -> Result<Position, AppendError> {
        Err(AppendError::Unavailable(is_past()))
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let (mut found, mut after) = (Vec::new(), after);
        while after < self.end.position && found.len() < limit {
            let left = usize::try_from(self.end.position - after).unwrap_or(usize::MAX);
            let page = self.log.read(after, left.min(limit)).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            found.extend(page.into_iter().filter(|record| self.holds(record)));
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn digests(&self, after: Position, limit: usize) -> Result<Vec<[u8; 32]>, ReadError> {
        if matches!(self.moment, Moment::Occurred(_)) {
            return Ok(self.read(after, limit).await?.into_iter().map(|record| record.digest).collect());
        }
        let left = usize::try_from(self.end.position.saturating_sub(after)).unwrap_or(usize::MAX);
        self.log.digests(after, left.min(limit)).await
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.stream(stream, after, limit).await
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        if matches!(self.moment, Moment::Occurred(_)) {
            let mut found = Vec::with_capacity(streams.len());
            for (stream, after) in &streams {
                found.push(self.stream(stream, *after, limit).await?);
            }
            return Ok(found);
        }
        let mut found = self.log.read_streams(streams, limit).await?;
        found.iter_mut().for_each(|records| records.retain(|record| self.holds(record)));
        Ok(found)
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        let found = self.log.find_scopes(scopes).await?;
        Ok(found.into_iter().map(|position| position.filter(|position| *position <= self.end.position)).collect())
    }

    async fn head(&self) -> Result<Head, ReadError> {
        Ok(self.end)
    }

    async fn now(&self) -> Result<Timestamp, ReadError> {
        self.log.now().await
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.watch.subscribe()
    }
}

/// What the engine keeps beside the log is of now, not of then: none of it is shown, and nothing is kept.
#[async_trait]
impl Bookkeeping for PastLog {
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
        Ok(vec![None; streams.len()])
    }

    async fn list_snapshots(&self, _: Option<StreamId>, _: usize) -> Result<Vec<Snapshot>, ReadError> {
        Ok(Vec::new())
    }

    async fn save_snapshots(&self, _: Vec<Snapshot>) -> Result<(), ReadError> {
        Err(ReadError::Unavailable(is_past()))
    }

    async fn checkpoint(&self, _: &str) -> Result<Position, ReadError> {
        Ok(0)
    }

    async fn save_progress(&self, _: Progress) -> Result<(), ReadError> {
        Err(ReadError::Unavailable(is_past()))
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
