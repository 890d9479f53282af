//! A payment for an order. At every moment: authorised ≥ captured ≥ refunded, with refunds that are on their way.

use event_schemas::{Currency, Money, PaymentEvent, PaymentOpened, RefundId};
use serde::{Deserialize, Serialize};

use crate::{GatewayOutcome, OpenedPayment};

/// What can be asked of a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentCommand {
    /// Open it for an order.
    Open(PaymentOpened),
    /// The buyer confirms: ask the gateway for what is not held yet.
    Confirm {
        /// The gateway's token for the buyer's means of payment.
        token: String,
        /// Whether to take the money at once.
        capture: bool,
    },
    /// Take held money.
    RequestCapture {
        /// How much; all that is held if absent.
        amount: Option<Money>,
    },
    /// Let held money go.
    RequestVoid {
        /// Why.
        reason: String,
    },
    /// Give money back.
    RequestRefund {
        /// The refund.
        refund_id: RefundId,
        /// How much; all that can go back if absent.
        amount: Option<Money>,
        /// Why.
        reason: String,
    },
    /// The order is off: give back what was taken, let go what is held, and take nothing more.
    Close {
        /// The refund, if one is needed.
        refund_id: RefundId,
        /// Why.
        reason: String,
    },
    /// Nothing was taken in time: it can no longer be made.
    Expire,
    /// The gateway says what happened.
    Record(GatewayOutcome),
}

/// Why a command to a payment was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PaymentRefusal {
    /// There is no such payment.
    #[error("there is no such payment")]
    NotFound,
    /// The id is in use.
    #[error("the payment exists already")]
    AlreadyExists,
    /// A payment is of more than nothing.
    #[error("the amount must be more than zero")]
    NothingToPay,
    /// The token names no means of payment.
    #[error("a payment is confirmed with a token of the gateway")]
    NoToken,
    /// The payment's order is gone.
    #[error("the payment has expired")]
    Expired,
    /// What is due is held or taken already.
    #[error("the payment is made already")]
    AlreadyPaid,
    /// The gateway was asked and has not answered.
    #[error("the payment is being processed; wait for the gateway's answer")]
    InProgress,
    /// No more is taken than is held.
    #[error("{requested} cannot be taken: only {held} is held")]
    CaptureExceedsHeld {
        /// What is held and not taken, or being taken, yet.
        held: Money,
        /// What was asked for.
        requested: Money,
    },
    /// Nothing is held.
    #[error("nothing is held that could be let go")]
    NothingHeld,
    /// No more goes back than was taken.
    #[error("{requested} cannot be refunded: only {refundable} can")]
    RefundExceedsCaptured {
        /// What was taken, less refunds made or on their way, less what banks took back.
        refundable: Money,
        /// What was asked for.
        requested: Money,
    },
    /// A refund's id means one refund.
    #[error("a refund with this id and another amount exists")]
    RefundExists,
    /// All amounts of a payment are in its currency.
    #[error("the payment is in {payment}, not in {requested}")]
    CurrencyMismatch {
        /// The payment's currency.
        payment: Currency,
        /// The currency that was asked for.
        requested: Currency,
    },
    /// The amounts do not fit in minor units.
    #[error("the amount is too large")]
    AmountTooLarge,
}

impl PaymentRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "PAYMENT_NOT_FOUND",
            Self::AlreadyExists => "PAYMENT_EXISTS",
            Self::NothingToPay => "INVALID_AMOUNT",
            Self::NoToken => "PAYMENT_TOKEN_MISSING",
            Self::Expired => "PAYMENT_EXPIRED",
            Self::AlreadyPaid => "ALREADY_PAID",
            Self::InProgress => "PAYMENT_IN_PROGRESS",
            Self::CaptureExceedsHeld { .. } => "CAPTURE_EXCEEDS_AUTHORISED",
            Self::NothingHeld => "NOTHING_AUTHORISED",
            Self::RefundExceedsCaptured { .. } => "REFUND_EXCEEDS_CAPTURED",
            Self::RefundExists => "REFUND_EXISTS",
            Self::CurrencyMismatch { .. } => "CURRENCY_MISMATCH",
            Self::AmountTooLarge => "TOTAL_TOO_LARGE",
        }
    }
}

/// A payment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Payment {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Was opened for an order.
    Opened(Box<OpenedPayment>),
}

impl Payment {
    /// The payment, unless it does not exist.
    ///
    /// # Errors
    /// [`PaymentRefusal::NotFound`].
    pub fn opened(&self) -> Result<&OpenedPayment, PaymentRefusal> {
        match self {
            Self::Absent => Err(PaymentRefusal::NotFound),
            Self::Opened(payment) => Ok(payment),
        }
    }

    /// The rules. Pure: no clock, no I/O, no randomness. What the gateway says twice, or too late, gives no event.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        use PaymentCommand::{Close, Confirm, Expire, Open, Record, RequestCapture, RequestRefund, RequestVoid};
        match (self, command) {
            (Self::Absent, Open(opened)) if opened.amount.minor <= 0 => Err(PaymentRefusal::NothingToPay),
            (Self::Absent, Open(opened)) => Ok(vec![opened.into()]),
            (Self::Absent, _) => Err(PaymentRefusal::NotFound),
            (Self::Opened(_), Open(_)) => Err(PaymentRefusal::AlreadyExists),
            (Self::Opened(payment), Confirm { token, capture }) => payment.confirm(token, capture),
            (Self::Opened(payment), RequestCapture { amount }) => payment.request_capture(amount),
            (Self::Opened(payment), RequestVoid { reason }) => payment.request_void(reason),
            (Self::Opened(payment), RequestRefund { refund_id, amount, reason }) => {
                payment.request_refund(refund_id, amount, reason)
            }
            (Self::Opened(payment), Close { refund_id, reason }) => payment.close(refund_id, reason),
            (Self::Opened(payment), Expire) => payment.expire(),
            (Self::Opened(payment), Record(outcome)) => payment.record(outcome),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &PaymentEvent) {
        match (&mut *self, event) {
            (Self::Absent, PaymentEvent::PaymentOpened(e)) => {
                *self = Self::Opened(Box::new(OpenedPayment::of(e)));
            }
            (Self::Absent, _) => {}
            (Self::Opened(payment), event) => payment.evolve(event),
        }
    }
}
