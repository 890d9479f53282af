//! What `verify` found wrong, and where.

use event_schemas::Position;
use serde::Serialize;

/// The rules that a log is held to. Their names are part of the JSON that scripts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Every position from the first to the head holds one readable event.
    Positions,
    /// The log still begins with what was known of it.
    Head,
    /// The sequences of a stream count from 1 without a gap.
    Sequences,
    /// The digest is that of the record.
    Digest,
    /// `recorded_at` never goes back.
    RecordedAt,
    /// The metadata is what its type says, and the idempotency scope beside it the same.
    Metadata,
    /// The payload is valid against the JSON Schema of its type and version.
    Schema,
    /// The payload decodes, through the upcasters, into events of its stream's aggregate.
    Decode,
    /// The event folds into the state of its aggregate.
    Fold,
    /// No two events have the same id.
    EventId,
    /// No two commands have the same idempotency scope.
    Idempotency,
    /// The events of one command stand next to each other.
    Command,
    /// Nothing was promised or taken from stock that was not there.
    Oversell,
    /// Captured is never more than authorised, refunded never more than captured, in one currency.
    Payment,
    /// An order is placed first and once; no more is sent than was ordered, returned than was sent, or refunded than came in.
    Order,
    /// The sums of an order, or of a credit note, are the sums of its parts: so every entry of the journal balances.
    Totals,
    /// A promotion is used no more often than its limit.
    Promotion,
    /// A unique name has one holder at a time.
    Claim,
    /// Once the shop has an administrator, it always has one.
    Admins,
    /// A snapshot, which decisions and rights are read through, is what the events of its stream come to.
    Snapshot,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Positions,
        Self::Head,
        Self::Sequences,
        Self::Digest,
        Self::RecordedAt,
        Self::Metadata,
        Self::Schema,
        Self::Decode,
        Self::Fold,
        Self::EventId,
        Self::Idempotency,
        Self::Command,
        Self::Oversell,
        Self::Payment,
        Self::Order,
        Self::Totals,
        Self::Promotion,
        Self::Claim,
        Self::Admins,
        Self::Snapshot,
    ];

    /// Whether it can be checked only from the beginning of the log.
    pub fn needs_the_past(self) -> bool {
        match self {
            Self::Head
            | Self::Fold
            | Self::Oversell
            | Self::Payment
            | Self::Order
            | Self::Totals
            | Self::Promotion
            | Self::Claim
            | Self::Admins => true,
            Self::Positions
            | Self::Sequences
            | Self::Digest
            | Self::RecordedAt
            | Self::Metadata
            | Self::Schema
            | Self::Decode
            | Self::EventId
            | Self::Idempotency
            | Self::Command
            | Self::Snapshot => false,
        }
    }
}

/// One thing that is wrong, and the position that it was found at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Where.
    pub position: Position,
    /// Which rule is broken.
    pub rule: Rule,
    /// How, in words.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "position {}: {}: {}", self.position, self.rule, self.message)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}
