//! The envelope: what the log keeps for each event, and the bytes that its digest covers.

use std::{fmt, str::FromStr};

use chrono::{SecondsFormat, SubsecRound};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{CommerceEvent, InvalidId, Metadata, Timestamp};

/// A place in the whole log: gapless, from 1, in commit order. 0 stands before the first event.
pub type Position = u64;

/// A place in one stream: gapless, from 1. 0 stands before the first event of the stream.
pub type Sequence = u64;

/// The stream of one aggregate, written `type/id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The aggregate's type, such as `order`.
    pub aggregate_type: std::borrow::Cow<'static, str>,
    /// The aggregate's id within its type.
    pub aggregate_id: String,
}

impl StreamId {
    /// The stream of an aggregate of a known type.
    pub fn new(aggregate_type: &'static str, aggregate_id: impl fmt::Display) -> Self {
        Self { aggregate_type: aggregate_type.into(), aggregate_id: aggregate_id.to_string() }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

impl FromStr for StreamId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('/') {
            Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
                Ok(Self { aggregate_type: kind.to_owned().into(), aggregate_id: id.to_owned() })
            }
            _ => Err(InvalidId::new("stream", text, "it must read TYPE/ID, such as order/0197…")),
        }
    }
}

/// An event that asks to be appended: everything but the position and the digest, which follow from where it lands.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// Unique id of the event.
    pub event_id: Uuid,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its sequence within the stream.
    pub sequence: Sequence,
    /// The event type, such as `OrderPlaced`.
    pub event_type: std::borrow::Cow<'static, str>,
    /// The version of the payload's shape.
    pub event_version: u32,
    /// The payload as JSON text, kept byte for byte.
    pub payload: String,
    /// [`Metadata`] as JSON text, kept byte for byte.
    pub metadata: String,
    /// When the log wrote it.
    pub recorded_at: Timestamp,
    /// When it happened in the world; equal to `recorded_at` unless imported or corrected.
    pub occurred_at: Timestamp,
    /// The idempotency scope of the command, on its first event only: unique in the log.
    pub idempotency_scope: Option<String>,
}

/// An event as the log holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its place in the log.
    pub position: Position,
    /// What was appended.
    pub event: Proposed,
    /// SHA-256 over [`canonical_bytes`]; the leaf hash of RFC 6962, section 2.1.
    pub digest: [u8; 32],
}

impl Recorded {
    /// Places a proposed event at a position and computes its digest.
    pub fn at(position: Position, event: Proposed) -> Self {
        let digest = digest(position, &event);
        Self { position, event, digest }
    }

    /// Whether the digest still matches what is stored.
    pub fn is_intact(&self) -> bool {
        digest(self.position, &self.event) == self.digest
    }

    /// Reads the metadata.
    ///
    /// # Errors
    /// If the stored text is not the JSON of [`Metadata`].
    pub fn metadata(&self) -> Result<Metadata, serde_json::Error> {
        serde_json::from_str(&self.event.metadata)
    }

    /// Reads the payload through the upcasters, into what today's code understands.
    ///
    /// # Errors
    /// See [`crate::DecodeError`].
    pub fn decode(&self) -> Result<Vec<CommerceEvent>, crate::DecodeError> {
        CommerceEvent::decode(&self.event.event_type, self.event.event_version, &self.event.payload)
    }
}

/// Cuts a moment to microseconds, the resolution that the log keeps.
pub fn to_micros(moment: Timestamp) -> Timestamp {
    moment.trunc_subsecs(6)
}

/// RFC 3339 in UTC with microseconds and `Z`: fixed in width from year 0 to 9999, so that text sorts as time.
pub fn rfc3339(moment: Timestamp) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The bytes that the digest covers: a leaf prefix (RFC 6962), then every field, each text preceded by its length.
///
/// `idempotency_scope` is not among them because it repeats what the metadata says.
pub fn canonical_bytes(position: Position, event: &Proposed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160 + event.payload.len() + event.metadata.len());
    bytes.push(0);
    bytes.extend(position.to_be_bytes());
    bytes.extend(event.event_id.as_bytes());
    bytes.extend(event.sequence.to_be_bytes());
    bytes.extend(event.event_version.to_be_bytes());
    bytes.extend(event.recorded_at.timestamp_micros().to_be_bytes());
    bytes.extend(event.occurred_at.timestamp_micros().to_be_bytes());
    let texts = [&*event.stream.aggregate_type, &event.stream.aggregate_id, &event.event_type, &event.payload, &event.metadata];
    for text in texts {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn digest(position: Position, event: &Proposed) -> [u8; 32] {
    Sha256::digest(canonical_bytes(position, event)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed() -> Proposed {
        let at = Timestamp::from_timestamp_micros(1_700_000_000_000_000).unwrap();
        Proposed {
            event_id: Uuid::nil(),
            stream: StreamId::new("order", "o-1"),
            sequence: 1,
            event_type: "OrderExpired".into(),
            event_version: 1,
            payload: "{}".into(),
            metadata: "{}".into(),
            recorded_at: at,
            occurred_at: at,
            idempotency_scope: None,
        }
    }

    #[test]
    fn any_change_of_any_field_changes_the_digest() {
        let whole = Recorded::at(7, proposed());
        assert!(whole.is_intact());
        let changes: [fn(&mut Recorded); 9] = [
            |r| r.position = 8,
            |r| r.event.event_id = Uuid::max(),
            |r| r.event.sequence = 2,
            |r| r.event.event_version = 2,
            |r| r.event.payload.push(' '),
            |r| r.event.metadata.push(' '),
            |r| r.event.stream.aggregate_id.push('x'),
            |r| r.event.event_type = "OrderPaid".into(),
            |r| r.event.recorded_at += chrono::TimeDelta::microseconds(1),
        ];
        for change in changes {
            let mut changed = whole.clone();
            change(&mut changed);
            assert!(!changed.is_intact());
        }
    }

    #[test]
    fn text_cannot_move_between_fields_unnoticed() {
        let (mut one, mut two) = (proposed(), proposed());
        (one.payload, one.metadata) = ("ab".into(), "c".into());
        (two.payload, two.metadata) = ("a".into(), "bc".into());
        assert_ne!(canonical_bytes(1, &one), canonical_bytes(1, &two));
    }

    #[test]
    fn a_stream_reads_back_what_it_prints() {
        let stream: StreamId = "stock/TEA@main".parse().unwrap();
        assert_eq!((stream.to_string().as_str(), &*stream.aggregate_type), ("stock/TEA@main", "stock"));
        assert!("order".parse::<StreamId>().is_err());
    }
}
