//! A projection: a named, versioned, pure fold from events to the rows of its own tables.

use event_schemas::{CommerceEvent, Position, Sequence, StreamId, Timestamp};

use crate::{Rows, Stamp, Table, ViewError};

/// An event as a fold sees it.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// Its place in the log.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: &'a StreamId,
    /// Its place in the stream.
    pub sequence: Sequence,
    /// When it happened in the world: what business views go by.
    pub occurred_at: Timestamp,
    /// When the log wrote it.
    pub recorded_at: Timestamp,
    /// What happened.
    pub event: &'a CommerceEvent,
}

impl<'a> Fact<'a> {
    /// What the rows that it changes note of it.
    pub fn stamp(&self) -> Stamp<'a> {
        Stamp { position: self.position, aggregate_type: &self.stream.aggregate_type, sequence: self.sequence }
    }
}

/// Why a fold cannot go on. The projection halts at its last good event; nothing is skipped.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The event contradicts what the view knows: a bug of ours or a broken log.
    #[error("{0}")]
    Contradiction(String),
    /// An amount does not fit in 64 bits.
    #[error("an amount does not fit in 64 bits")]
    Overflow,
    /// The view store failed: not the event's fault, so the batch is tried again.
    #[error(transparent)]
    Store(#[from] ViewError),
}

impl FoldError {
    /// An event about something that the view has never heard of.
    pub(crate) fn unknown(kind: &str, id: impl std::fmt::Display) -> Self {
        Self::Contradiction(format!("the event is about {kind} {id}, which no earlier event made"))
    }
}

impl From<event_schemas::InvalidId> for FoldError {
    fn from(error: event_schemas::InvalidId) -> Self {
        Self::Contradiction(error.to_string())
    }
}

/// A projection: what it is called, its tables and its fold. Raise `version` whenever the same events give other rows.
#[derive(Debug)]
pub struct Projection {
    /// Its name, such as `orders`.
    pub name: &'static str,
    /// The version of the fold: a stored view of another version is rebuilt.
    pub version: u32,
    /// The tables that it alone writes.
    pub tables: &'static [&'static Table],
    /// Whether analysts may see its tables, without what is personal: not those that say who may do what.
    pub for_analysts: bool,
    /// The fold: deterministic, no clock, no outside reads.
    pub fold: fn(&mut Rows<'_>, &Fact<'_>) -> Result<(), FoldError>,
}

impl Projection {
    /// A text that changes when the shape of a table changes, so that a forgotten version is noticed.
    pub(crate) fn shape(&self) -> String {
        let text = format!("{:?}", self.tables);
        // FNV-1a: a fingerprint against mistakes, not against malice.
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        format!("{hash:016x}")
    }
}

/// Adds amounts, refusing overflow.
pub(crate) fn add(left: i64, right: i64) -> Result<i64, FoldError> {
    left.checked_add(right).ok_or(FoldError::Overflow)
}

/// Subtracts amounts, refusing overflow.
pub(crate) fn subtract(left: i64, right: i64) -> Result<i64, FoldError> {
    left.checked_sub(right).ok_or(FoldError::Overflow)
}
