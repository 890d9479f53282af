//! A batch on its way to the log, and what became of it.

use std::time::Duration;

use event_schemas::{Position, Proposed, Recorded};
use event_store::{AppendError, Log, ReadError};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How often an append whose outcome is unknown is tried again, waiting twice as long each time.
const UNKNOWN_RETRIES: u32 = 10;

/// A batch on its way; gives where the log ends once it has landed.
pub(crate) type Landing = JoinHandle<Result<Position, NotLanded>>;

/// Why a batch cannot be answered.
pub(crate) enum NotLanded {
    /// It was not appended, or nobody knows.
    Append(AppendError),
    /// Where the log ends cannot be read.
    Read(ReadError),
    /// The log goes on after another batch: this is where it ends, and what was not written.
    Moved { head: Position, events: Vec<Proposed> },
    /// The log does not hold any more what this node has seen in it.
    Lost(String),
}

/// The end of the log as a node knows it. Positions alone do not tell whether it still is: after a backup was put back, or
/// a replica that lacked the last events took over, other nodes fill the same positions with other events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub position: Position,
    /// The id of the event there; none when the log is empty.
    pub event: Option<Uuid>,
}

impl End {
    /// Looks where a log ends.
    pub async fn of(log: &dyn Log, position: Position) -> Result<Self, ReadError> {
        let page = if position == 0 { Vec::new() } else { log.read(position - 1, 1).await? };
        Ok(Self { position, event: page.first().map(|recorded| recorded.event.event_id) })
    }

    /// Up to `limit` events after this end, if the log still has it.
    pub async fn read_on(&self, log: &dyn Log, limit: usize) -> Result<Vec<Recorded>, NotLanded> {
        let Some(event) = self.event else { return log.read(self.position, limit).await.map_err(NotLanded::Read) };
        let mut page = log.read(self.position - 1, limit + 1).await.map_err(NotLanded::Read)?;
        match page.first().map(|recorded| recorded.event.event_id) {
            Some(there) if there == event => {
                page.remove(0);
                Ok(page)
            }
            Some(_) => Err(NotLanded::Lost(format!(
                "position {} of the log holds another event than the one that this node has seen there",
                self.position
            ))),
            None => Err(NotLanded::Lost(format!("the log ends before position {}, which this node has seen", self.position))),
        }
    }

    /// Whether the log still ends here.
    pub async fn still_stands(&self, log: &dyn Log) -> Result<Position, NotLanded> {
        match self.read_on(log, 1).await?.first() {
            None => Ok(self.position),
            Some(next) => Err(NotLanded::Moved { head: next.position, events: Vec::new() }),
        }
    }

    /// Appends, and when the store does not say whether it did, asks again with the same events at the same place until that
    /// is decided: whichever batch holds the position after this end is final, so no late commit can bring ours in twice.
    /// Before the first attempt the log is looked at only if it is not `sure` that it still ends here.
    pub async fn append(&self, log: &dyn Log, events: Vec<Proposed>, sure: bool) -> Result<Position, NotLanded> {
        let (first, end) = (events.first().map(|event| event.event_id), self.position + events.len() as u64);
        let mut unknown = None;
        for retry in 0..=UNKNOWN_RETRIES {
            if retry > 0 {
                tracing::warn!(head = self.position, retry, "an append's outcome is unknown; asking again");
                tokio::time::sleep(Duration::from_millis(5 << (retry - 1))).await;
            }
            if retry > 0 || !sure {
                match self.read_on(log, 1).await {
                    Ok(page) => match page.first() {
                        Some(next) if unknown.is_some() && Some(next.event.event_id) == first => return Ok(end),
                        Some(next) => return Err(NotLanded::Moved { head: next.position, events }),
                        None => {}
                    },
                    Err(NotLanded::Read(_)) if unknown.is_some() => continue,
                    Err(error) => return Err(error),
                }
            }
            match log.append(self.position, events.clone()).await {
                Ok(position) => return Ok(position),
                // Ours, come late, or another's: the next look tells.
                Err(AppendError::HeadMoved { .. }) if unknown.is_some() => {}
                Err(AppendError::HeadMoved { head }) => return Err(NotLanded::Moved { head, events }),
                Err(AppendError::OutcomeUnknown(reason)) => unknown = Some(reason),
                Err(error) if unknown.is_none() => return Err(NotLanded::Append(error)),
                Err(error) => unknown = Some(error.to_string()),
            }
        }
        Err(NotLanded::Append(AppendError::OutcomeUnknown(unknown.unwrap_or_default())))
    }
}

/// Waits until a batch has landed, for ever if none is on its way.
pub(crate) async fn landed(landing: &mut Option<Landing>) -> Result<Position, NotLanded> {
    match landing {
        Some(task) => task.await.unwrap_or_else(|error| Err(NotLanded::Append(AppendError::OutcomeUnknown(error.to_string())))),
        None => std::future::pending().await,
    }
}
