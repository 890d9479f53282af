//! A batch of the log, decoded once for all projections.

use event_schemas::{CommerceEvent, Position, Recorded, Sequence, StreamId, Timestamp};

use crate::Fact;

/// One recorded event, decoded.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) position: Position,
    stream: StreamId,
    sequence: Sequence,
    occurred_at: Timestamp,
    pub(crate) recorded_at: Timestamp,
    /// What it reads as today: one event, or several or none after upcasting.
    events: Vec<CommerceEvent>,
}

impl Decoded {
    /// Decodes one recorded event.
    ///
    /// # Errors
    /// See [`event_schemas::DecodeError`].
    pub fn new(recorded: Recorded) -> Result<Self, event_schemas::DecodeError> {
        let events = recorded.decode()?;
        let Recorded { position, event, .. } = recorded;
        Ok(Self {
            position,
            stream: event.stream,
            sequence: event.sequence,
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
            events,
        })
    }

    /// What a fold sees of it.
    pub fn facts(&self) -> impl Iterator<Item = Fact<'_>> {
        self.events.iter().map(|event| Fact {
            position: self.position,
            stream: &self.stream,
            sequence: self.sequence,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
            event,
        })
    }
}

/// Consecutive events of the log.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The position before the first.
    pub after: Position,
    pub events: Vec<Decoded>,
    /// The position after the last and why it cannot be read, when the batch ends early.
    pub unreadable: Option<(Position, String)>,
}

impl Batch {
    /// Decodes a page of the log, up to the first event that cannot be read.
    pub fn decode(after: Position, page: Vec<Recorded>) -> Self {
        let mut batch = Self { after, events: Vec::with_capacity(page.len()), unreadable: None };
        for recorded in page {
            let position = recorded.position;
            match Decoded::new(recorded) {
                Ok(decoded) => batch.events.push(decoded),
                Err(error) => {
                    batch.unreadable = Some((position, error.to_string()));
                    break;
                }
            }
        }
        batch
    }

    /// The position of the last readable event.
    pub fn last(&self) -> Position {
        self.events.last().map_or(self.after, |event| event.position)
    }
}
