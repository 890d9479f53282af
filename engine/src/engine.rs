//! The engine's face: submit a decision, get a durable answer.

use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use domain::{Change, Decision, Refusal};
use event_schemas::{Metadata, Position};
use event_store::{AppendError, Log, ReadError};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::{Clock, EngineMetrics, Ids, decider::Decider, landing::NotLanded};

/// What a caller gets for a decision that was made and is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The position of the last event written for the command; the head at that time when nothing needed to happen.
    pub position: Position,
    /// What happened, in order.
    pub changes: Vec<Change>,
    /// Whether this is the first answer again, to a repeated idempotency key.
    pub repeated: bool,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// A business rule forbids it. Nothing was written; the same command may succeed later.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The idempotency key was used before, with another content.
    #[error("this idempotency key was used before with another request")]
    IdempotencyKeyReused,
    /// Too many commands are waiting. Nothing was done; try again after the given time.
    #[error("too many commands are waiting; try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// How long to wait before trying again.
        retry_after: Duration,
    },
    /// The operator's business: storage, or the engine is stopping.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl CommandError {
    pub(crate) fn overloaded() -> Self {
        Self::Overloaded { retry_after: Duration::from_millis(100) }
    }
}

/// A failure that is no fault of the command.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// The log could not be written. Nothing was written.
    #[error("the log cannot be written: {0}")]
    NotWritten(String),
    /// The log could not be read. Nothing was written.
    #[error("the log cannot be read: {0}")]
    NotRead(String),
    /// One aggregate's history cannot be read: it is damaged, or a newer version of Daybook wrote it. Nothing was written.
    #[error("the history that this rests upon cannot be read: {0}")]
    Unreadable(String),
    /// The store did not say whether the command was written, and could not be asked again. Repeat it with the same
    /// idempotency key to find out.
    #[error("the store did not say whether this was written: {0}")]
    OutcomeUnknown(String),
    /// The log does not hold any more what this node has seen in it. Nothing was written, and nothing will be decided here
    /// until the node is started again.
    #[error("the log has lost events: {0}; restart this node if that is meant")]
    HistoryLost(String),
    /// The engine is stopping. Nothing was written.
    #[error("the engine is stopping")]
    Stopping,
    /// The decision is not one that can be carried out: a bug. Nothing was written.
    #[error("the decision cannot be carried out: {0}")]
    Broken(String),
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Self::NotRead(error.to_string())
    }
}

impl From<NotLanded> for Fault {
    fn from(error: NotLanded) -> Self {
        match error {
            NotLanded::Read(error) => error.into(),
            NotLanded::Lost(reason) => Self::HistoryLost(reason),
            NotLanded::Moved { head, .. } => Self::NotWritten(format!("it has moved on to position {head}")),
            NotLanded::Append(AppendError::OutcomeUnknown(reason)) => Self::OutcomeUnknown(reason),
            NotLanded::Append(AppendError::Invalid(reason)) => Self::Broken(reason),
            NotLanded::Append(error) => Self::NotWritten(error.to_string()),
        }
    }
}

/// The engine's limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Commands that may wait; one more is refused as overload.
    pub queue: usize,
    /// Events in one append, beyond which commands wait for the next.
    pub batch_events: usize,
    /// Bytes of aggregate state kept at hand.
    pub cache_bytes: usize,
    /// Events of a stream after which its state is saved, so that loading it stays short.
    pub snapshot_every: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 4096, batch_events: 2048, cache_bytes: 128 << 20, snapshot_every: 200 }
    }
}

/// A command on its way.
pub(crate) struct Request {
    pub decision: Box<dyn Decision>,
    pub metadata: Metadata,
    pub reply: oneshot::Sender<Result<Outcome, CommandError>>,
}

impl Request {
    /// Answers the caller; one who has gone away is not told.
    pub fn answer(self, answer: Result<Outcome, CommandError>) {
        let _ = self.reply.send(answer);
    }
}

/// The decider of this node: all its commands go through one loop. Clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    queue: RwLock<Option<mpsc::Sender<Request>>>,
    decider: Mutex<Option<JoinHandle<()>>>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    log_id: Uuid,
    metrics: Arc<EngineMetrics>,
    lost: Arc<OnceLock<String>>,
}

impl Engine {
    /// Starts deciding on a log.
    ///
    /// # Errors
    /// When the log's head cannot be read.
    pub async fn start(log: Arc<dyn Log>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, limits: Limits) -> Result<Self, ReadError> {
        let metrics = Arc::new(EngineMetrics::default());
        let (queue, requests) = mpsc::channel(limits.queue);
        let log_id = log.id();
        let decider = Decider::new(log, clock.clone(), ids.clone(), limits, metrics.clone()).await?;
        let lost = decider.lost();
        let decider = Mutex::new(Some(tokio::spawn(decider.run(requests))));
        let queue = RwLock::new(Some(queue));
        Ok(Self { shared: Arc::new(Shared { queue, decider, clock, ids, log_id, metrics, lost }) })
    }

    /// Decides, writes, and answers once it is durable.
    ///
    /// `metadata` says who asks; its idempotency key, if any, makes a repetition get the first answer again. The command
    /// is carried out even if the caller stops waiting.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn submit(&self, decision: impl Decision, metadata: Metadata) -> Result<Outcome, CommandError> {
        self.submit_boxed(Box::new(decision), metadata).await
    }

    /// [`Engine::submit`] for a decision whose type is not known.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn submit_boxed(&self, decision: Box<dyn Decision>, metadata: Metadata) -> Result<Outcome, CommandError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue()?;
        queue.try_send(Request { decision, metadata, reply }).map_err(|error| self.not_queued(&error))?;
        drop(queue);
        answered(answer).await
    }

    /// [`Engine::submit_boxed`] that waits for room in the queue instead of being turned away. For the shop's own processes:
    /// there are only so many of their commands at a time, and a step of theirs must not fail because buyers are many.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn submit_in_turn(&self, decision: Box<dyn Decision>, metadata: Metadata) -> Result<Outcome, CommandError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue()?;
        queue.send(Request { decision, metadata, reply }).await.map_err(|_| Fault::Stopping)?;
        drop(queue);
        answered(answer).await
    }

    fn queue(&self) -> Result<mpsc::Sender<Request>, Fault> {
        self.shared.queue.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Fault::Stopping)
    }

    fn not_queued(&self, error: &mpsc::error::TrySendError<Request>) -> CommandError {
        match error {
            mpsc::error::TrySendError::Closed(_) => CommandError::Fault(Fault::Stopping),
            mpsc::error::TrySendError::Full(_) => {
                self.shared.metrics.overloaded.add(1);
                CommandError::overloaded()
            }
        }
    }

    /// Takes no more commands, carries out those that wait, and returns when all of them are answered.
    pub async fn drain(&self) {
        self.shared.queue.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(decider) = self.shared.decider.lock().await.take()
            && let Err(error) = decider.await
        {
            tracing::error!(%error, "the decider ended abnormally");
        }
    }

    /// Whether commands are being decided: false once it was drained, or if the decider has ended by a bug.
    pub fn is_running(&self) -> bool {
        let queue = self.shared.queue.read().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| !queue.is_closed())
    }

    /// Why nothing is decided any more although the engine runs: the log has lost events that this node has seen.
    pub fn lost(&self) -> Option<&str> {
        self.shared.lost.get().map(String::as_str)
    }

    /// The clock that commands get their time from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Where commands get their new ids from.
    pub fn ids(&self) -> &Arc<dyn Ids> {
        &self.shared.ids
    }

    /// The identity of the log that it decides on.
    pub fn log_id(&self) -> Uuid {
        self.shared.log_id
    }

    /// What the engine has done so far.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.shared.metrics
    }
}

async fn answered(answer: oneshot::Receiver<Result<Outcome, CommandError>>) -> Result<Outcome, CommandError> {
    let ended = || Fault::OutcomeUnknown("the decider ended before it answered".to_owned());
    answer.await.unwrap_or_else(|_| Err(ended().into()))
}
