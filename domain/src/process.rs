//! What a process is: the pure answer of the shop to what has happened, in commands, deadlines and calls to a gateway.

use event_schemas::{CommerceEvent, Money, PaymentId, Position, RefundId, StreamId, Timestamp};
use uuid::Uuid;

use crate::Decision;

/// An event as a process sees it.
#[derive(Debug, Clone, Copy)]
pub struct Happened<'a> {
    /// Its place in the log.
    pub position: Position,
    /// Its id, which the ids of everything that follows from it are derived from.
    pub event_id: Uuid,
    /// When the log wrote it: a process's only clock, so that a repeat is the same.
    pub recorded_at: Timestamp,
    /// Its stream.
    pub stream: &'a StreamId,
    /// What happened.
    pub event: &'a CommerceEvent,
}

impl Happened<'_> {
    /// An id that follows from this event (UUID version 5, RFC 9562): the same again when the event is seen again.
    pub fn derived_id(&self, purpose: &str) -> Uuid {
        Uuid::new_v5(&self.event_id, purpose.as_bytes())
    }
}

/// Something that is to be decided when a moment has come, unless it is settled before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// What it is about, unique within the process: the stream, such as `order/0197…`. A later one replaces it.
    pub key: String,
    /// When it is due.
    pub due_at: Timestamp,
}

/// What a gateway is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub enum GatewayAction {
    /// Authorise the amount with the buyer's token, and take it at once when `capture` is set.
    Confirm {
        /// The gateway's token for the buyer's means of payment.
        token: String,
        /// Whether to take the money at once.
        capture: bool,
        /// How much.
        amount: Money,
    },
    /// Take held money.
    Capture {
        /// How much.
        amount: Money,
    },
    /// Let held money go.
    Void,
    /// Give money back.
    Refund {
        /// The refund.
        refund_id: RefundId,
        /// How much.
        amount: Money,
    },
}

/// A call to a payment gateway. The answer comes back as [`crate::RecordGatewayOutcomes`].
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayRequest {
    /// The gateway's name, such as `sandbox`.
    pub gateway: String,
    /// The payment it is about.
    pub payment_id: PaymentId,
    /// The gateway's idempotency key: the id of the event that asked, so that a repeated call moves money once.
    pub idempotency_key: Uuid,
    /// What to do.
    pub action: GatewayAction,
}

/// How a process answers an event.
#[derive(Debug, Default)]
pub struct Reaction {
    /// Commands to decide now, in order.
    pub decisions: Vec<Box<dyn Decision>>,
    /// Deadlines to set.
    pub deadlines: Vec<Deadline>,
    /// Keys of deadlines that are settled.
    pub settled: Vec<String>,
    /// A call to the outside.
    pub gateway_call: Option<GatewayRequest>,
}

impl Reaction {
    /// Nothing to do.
    pub fn none() -> Self {
        Self::default()
    }

    /// One command to decide now.
    pub fn decide(decision: impl Decision) -> Self {
        Self { decisions: vec![Box::new(decision)], ..Self::default() }
    }

    /// One deadline to set.
    pub fn deadline(key: impl ToString, due_at: Timestamp) -> Self {
        Self { deadlines: vec![Deadline { key: key.to_string(), due_at }], ..Self::default() }
    }

    /// One deadline that is settled.
    pub fn settled(key: impl ToString) -> Self {
        Self { settled: vec![key.to_string()], ..Self::default() }
    }
}

/// A process follows the log and answers events with commands. It is pure: whoever drives it keeps its checkpoint and
/// deadlines, submits its commands and calls the gateway.
///
/// Its commands say "nothing to do" (no changes) when they come twice or too late. So a refusal means one of two things:
/// [`crate::Refusal::not_before`] gives the moment to come again, and anything else is for an operator to look at.
pub trait Process: Send + Sync + 'static {
    /// Its name: the key of its checkpoint, and part of the actor of its commands. Never changed once in use.
    fn name(&self) -> &'static str;

    /// What follows from an event.
    fn react(&self, event: &Happened<'_>) -> Reaction;

    /// What is to be decided when a deadline set by `event` has come, at `now`. Nothing unless the process sets deadlines.
    fn on_due(&self, event: &Happened<'_>, now: Timestamp) -> Vec<Box<dyn Decision>> {
        let _ = (event, now);
        Vec::new()
    }
}
