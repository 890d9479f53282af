//! Optimistic concurrency: a decision that only stands if an aggregate is still the one that whoever asks has looked at.

use event_schemas::{Sequence, StreamId};

use crate::{Change, Decision, Refusal, World};

/// The aggregate has changed since whoever asks looked at it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this was version {expected} when you looked at it, and is version {version} now")]
pub struct StaleVersion {
    /// The aggregate.
    pub stream: StreamId,
    /// The version that was looked at.
    pub expected: Sequence,
    /// The version now: the sequence of its last event.
    pub version: Sequence,
}

impl StaleVersion {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        "STALE_VERSION"
    }
}

/// A decision with the version of an aggregate that it rests upon: another version refuses it, before any rule of its own. Of
/// what does not exist the decision's own rules speak first; where they would let it be made, nobody has looked at it either.
#[derive(Debug, Clone)]
pub struct Expecting<D> {
    /// The aggregate and the version expected of it; any version if absent.
    pub expected: Option<(StreamId, Sequence)>,
    /// What is decided then.
    pub decision: D,
}

impl<D: Decision> Decision for Expecting<D> {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        if let Some((stream, expected)) = &self.expected {
            let (version, expected) = (world.version(stream), *expected);
            if version != expected {
                if version == 0 {
                    self.decision.decide(world)?;
                }
                return Err(StaleVersion { stream: stream.clone(), expected, version }.into());
            }
        }
        self.decision.decide(world)
    }
}
