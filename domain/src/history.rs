//! Bringing in a past that other systems recorded: facts are taken as they are, once.

use event_schemas::StreamId;

use crate::{Change, Decision, Refusal, State, World};

/// Record changes that happened elsewhere. Rules do not apply to them: they are history. Only that it is not brought in twice
/// is checked, by the streams that must be new.
#[derive(Debug, Clone)]
pub struct RecordHistory {
    /// The streams that must not exist yet, such as the order that the changes are about.
    pub new_streams: Vec<StreamId>,
    /// What happened, in order.
    pub changes: Vec<Change>,
}

/// Why history was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistoryRefusal {
    /// It was brought in before.
    #[error("{stream} exists already")]
    AlreadyRecorded {
        /// The stream that exists.
        stream: StreamId,
    },
}

impl HistoryRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyRecorded { .. } => "ALREADY_RECORDED",
        }
    }
}

impl Decision for RecordHistory {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let states: Vec<_> = self.new_streams.iter().map(|stream| (stream, world.state(stream))).collect();
        for (stream, state) in states {
            if state.is_some() && state != State::absent(&stream.aggregate_type).as_ref() {
                return Err(HistoryRefusal::AlreadyRecorded { stream: stream.clone() }.into());
            }
        }
        Ok(self.changes.clone())
    }
}
