//! The engine's face: submit a decision, get a durable answer.

use std::time::Duration;

use domain::{Change, Decision, Refusal};
use event_schemas::{Metadata, Position};

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
    /// Storage failed or the engine is stopping; unless it says otherwise, nothing was written.
    #[error("{0}")]
    Fault(String),
}

/// The decider: all commands of this node go through it.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Decides, writes, and answers once it is durable.
    ///
    /// `metadata` says who asks; its idempotency key, if any, makes a repetition get the first answer again.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn submit(&self, decision: impl Decision, metadata: Metadata) -> Result<Outcome, CommandError> {
        let _ = (decision, metadata);
        Err(CommandError::Fault("not started".to_owned()))
    }
}
