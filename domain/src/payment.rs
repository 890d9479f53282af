//! A payment for an order. At every moment: authorised ≥ captured ≥ refunded, with refunds that are on their way.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{
    Currency, Money, OrderId, PaymentActionRequired, PaymentAuthorised, PaymentCaptureRequested, PaymentCaptured,
    PaymentConfirmationRequested, PaymentDeclined, PaymentDisputeClosed, PaymentDisputed, PaymentEvent, PaymentExpired,
    PaymentOpened, PaymentRefundFailed, PaymentRefundRequested, PaymentRefunded, PaymentVoidRequested, PaymentVoided, RefundId,
};
use serde::{Deserialize, Serialize};

use crate::GatewayOutcome;

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

/// What the gateway was asked about the buyer's means of payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Attempt {
    None,
    Asked,
    WaitsForBuyer,
}

/// Whether a refund is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Refund {
    Pending(i64),
    Done,
    Failed,
}

/// A payment that was opened. Amounts are minor units of its currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenedPayment {
    /// The order it is for.
    pub order_id: OrderId,
    /// How much is due.
    pub amount: Money,
    /// The gateway that moves the money.
    pub gateway: String,
    held: i64,
    captured: i64,
    refunded: i64,
    capturing: i64,
    disputed: i64,
    charged_back: i64,
    attempt: Attempt,
    void_requested: bool,
    expired: bool,
    refunds: BTreeMap<RefundId, Refund>,
    /// What the gateway called each thing that it did; each is applied once.
    references: BTreeSet<String>,
}

impl OpenedPayment {
    /// What was authorised: what is held now, or what was taken if that is more (a gateway may tell of it first).
    pub fn authorised_minor(&self) -> i64 {
        self.held.max(self.captured)
    }

    /// What was taken.
    pub fn captured_minor(&self) -> i64 {
        self.captured
    }

    /// What went back.
    pub fn refunded_minor(&self) -> i64 {
        self.refunded
    }

    /// Refunds on their way.
    pub fn pending_refunds_minor(&self) -> i64 {
        self.refunds.values().map(|refund| if let Refund::Pending(minor) = refund { *minor } else { 0 }).sum()
    }

    /// What can still go back.
    pub fn refundable_minor(&self) -> i64 {
        let gone = self.refunded + self.pending_refunds_minor() + self.disputed + self.charged_back;
        (self.captured - gone).max(0)
    }

    /// What is held and was not taken yet.
    pub fn hold_minor(&self) -> i64 {
        self.authorised_minor() - self.captured
    }

    fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.amount.currency)
    }

    fn must_be_amount(&self, amount: Money) -> Result<(), PaymentRefusal> {
        let payment = self.amount.currency;
        if amount.currency != payment {
            return Err(PaymentRefusal::CurrencyMismatch { payment, requested: amount.currency });
        }
        if amount.minor <= 0 { Err(PaymentRefusal::NothingToPay) } else { Ok(()) }
    }

    fn confirm(&self, token: String, capture: bool) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let due = self.amount.minor - self.authorised_minor();
        if token.trim().is_empty() {
            return Err(PaymentRefusal::NoToken);
        }
        if self.expired {
            return Err(PaymentRefusal::Expired);
        }
        if due <= 0 {
            return Err(PaymentRefusal::AlreadyPaid);
        }
        if self.attempt == Attempt::Asked || self.void_requested {
            return Err(PaymentRefusal::InProgress);
        }
        let (amount, gateway) = (self.money(due), self.gateway.clone());
        Ok(vec![PaymentConfirmationRequested { token, capture, amount, gateway }.into()])
    }

    fn request_capture(&self, amount: Option<Money>) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let held = self.money((self.hold_minor() - self.capturing).max(0));
        let requested = amount.unwrap_or(held);
        if held.minor == 0 {
            return Err(PaymentRefusal::NothingHeld);
        }
        if self.void_requested {
            return Err(PaymentRefusal::InProgress);
        }
        self.must_be_amount(requested)?;
        if requested.minor > held.minor {
            return Err(PaymentRefusal::CaptureExceedsHeld { held, requested });
        }
        Ok(vec![PaymentCaptureRequested { amount: requested, gateway: self.gateway.clone() }.into()])
    }

    fn request_void(&self, reason: String) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        if self.hold_minor() == 0 {
            return Err(PaymentRefusal::NothingHeld);
        }
        if self.capturing > 0 {
            return Err(PaymentRefusal::InProgress);
        }
        let requested = || PaymentVoidRequested { reason, gateway: self.gateway.clone() }.into();
        Ok(if self.void_requested { vec![] } else { vec![requested()] })
    }

    fn request_refund(
        &self,
        refund_id: RefundId,
        amount: Option<Money>,
        reason: String,
    ) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let refundable = self.money(self.refundable_minor());
        if let Some(refund) = self.refunds.get(&refund_id) {
            let same = amount.is_none_or(|amount| *refund == Refund::Pending(amount.minor));
            return if same { Ok(vec![]) } else { Err(PaymentRefusal::RefundExists) };
        }
        let requested = amount.unwrap_or(refundable);
        if amount.is_some() || refundable.minor > 0 {
            self.must_be_amount(requested)?;
        }
        if requested.minor > refundable.minor || refundable.minor == 0 {
            return Err(PaymentRefusal::RefundExceedsCaptured { refundable, requested });
        }
        Ok(vec![PaymentRefundRequested { refund_id, amount: requested, reason, gateway: self.gateway.clone() }.into()])
    }

    fn close(&self, refund_id: RefundId, reason: String) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let mut events = Vec::new();
        if self.refundable_minor() > 0 {
            events.extend(self.request_refund(refund_id, None, reason.clone())?);
        }
        if self.hold_minor() > 0 && self.capturing == 0 {
            events.extend(self.request_void(reason)?);
        } else if self.authorised_minor() == 0 && !self.expired {
            events.push(PaymentExpired {}.into());
        }
        Ok(events)
    }

    fn record(&self, outcome: GatewayOutcome) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        if outcome.reference().is_some_and(|reference| self.references.contains(&reference)) {
            return Ok(vec![]);
        }
        if let Some(amount) = outcome.amount() {
            self.must_be_amount(amount)?;
        }
        let fits = |known: i64, more: Money| known.checked_add(more.minor).ok_or(PaymentRefusal::AmountTooLarge);
        let event = match outcome {
            GatewayOutcome::ActionRequired { action_url, gateway_reference } if self.attempt == Attempt::Asked => {
                PaymentActionRequired { action_url, gateway_reference }.into()
            }
            GatewayOutcome::Authorised { amount, gateway_reference, expires_at } => {
                fits(self.held, amount)?;
                PaymentAuthorised { amount, gateway_reference, expires_at }.into()
            }
            GatewayOutcome::Captured { amount, gateway_reference } => {
                fits(self.captured, amount)?;
                PaymentCaptured { amount, gateway_reference }.into()
            }
            GatewayOutcome::Declined { code, message } if self.attempt != Attempt::None || self.capturing > 0 => {
                PaymentDeclined { code, message }.into()
            }
            GatewayOutcome::Voided { gateway_reference } => PaymentVoided { gateway_reference }.into(),
            GatewayOutcome::Refunded { refund_id, amount, gateway_reference } => match self.refunds.get(&refund_id) {
                Some(Refund::Done) => return Ok(vec![]),
                known => {
                    let own = if let Some(Refund::Pending(minor)) = known { *minor } else { 0 };
                    let refundable = self.money(self.captured - self.refunded - self.pending_refunds_minor() + own);
                    if amount.minor > refundable.minor {
                        return Err(PaymentRefusal::RefundExceedsCaptured { refundable, requested: amount });
                    }
                    PaymentRefunded { refund_id, amount, gateway_reference }.into()
                }
            },
            GatewayOutcome::RefundFailed { refund_id, reason } => match self.refunds.get(&refund_id) {
                Some(Refund::Pending(_)) => PaymentRefundFailed { refund_id, reason }.into(),
                Some(Refund::Done | Refund::Failed) | None => return Ok(vec![]),
            },
            GatewayOutcome::Disputed { amount, reason } if self.disputed == 0 => {
                let refundable = self.money(self.refundable_minor());
                if amount.minor > refundable.minor {
                    return Err(PaymentRefusal::RefundExceedsCaptured { refundable, requested: amount });
                }
                PaymentDisputed { amount, reason }.into()
            }
            GatewayOutcome::DisputeClosed { won } if self.disputed > 0 => {
                PaymentDisputeClosed { won, amount: self.money(self.disputed) }.into()
            }
            GatewayOutcome::ActionRequired { .. }
            | GatewayOutcome::Declined { .. }
            | GatewayOutcome::Disputed { .. }
            | GatewayOutcome::DisputeClosed { .. } => return Ok(vec![]),
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &PaymentEvent) {
        let reference = GatewayOutcome::reference_of(event);
        self.references.extend(reference);
        match event {
            PaymentEvent::PaymentOpened(_) => {}
            PaymentEvent::PaymentConfirmationRequested(_) => self.attempt = Attempt::Asked,
            PaymentEvent::PaymentActionRequired(_) => self.attempt = Attempt::WaitsForBuyer,
            PaymentEvent::PaymentAuthorised(e) => {
                self.held = self.held.saturating_add(e.amount.minor);
                self.attempt = Attempt::None;
            }
            PaymentEvent::PaymentCaptureRequested(e) => self.capturing = self.capturing.saturating_add(e.amount.minor),
            PaymentEvent::PaymentCaptured(e) => {
                self.captured = self.captured.saturating_add(e.amount.minor);
                self.capturing = (self.capturing - e.amount.minor).max(0);
                self.attempt = Attempt::None;
            }
            PaymentEvent::PaymentVoidRequested(_) => self.void_requested = true,
            PaymentEvent::PaymentVoided(_) => {
                self.held = self.captured;
                self.void_requested = false;
            }
            PaymentEvent::PaymentRefundRequested(e) => {
                self.refunds.insert(e.refund_id, Refund::Pending(e.amount.minor));
            }
            PaymentEvent::PaymentRefunded(e) => {
                self.refunded = self.refunded.saturating_add(e.amount.minor);
                self.refunds.insert(e.refund_id, Refund::Done);
            }
            PaymentEvent::PaymentRefundFailed(e) => {
                self.refunds.insert(e.refund_id, Refund::Failed);
            }
            PaymentEvent::PaymentDeclined(_) => {
                self.attempt = Attempt::None;
                self.capturing = 0;
            }
            PaymentEvent::PaymentExpired(_) => {
                self.expired = true;
                self.held = self.captured;
            }
            PaymentEvent::PaymentDisputed(e) => self.disputed = e.amount.minor,
            PaymentEvent::PaymentDisputeClosed(e) => {
                self.disputed = 0;
                if !e.won {
                    self.charged_back = self.charged_back.saturating_add(e.amount.minor);
                }
            }
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
        let payment = match (self, command) {
            (Self::Absent, Open(opened)) if opened.amount.minor <= 0 => return Err(PaymentRefusal::NothingToPay),
            (Self::Absent, Open(opened)) => return Ok(vec![opened.into()]),
            (Self::Absent, _) => return Err(PaymentRefusal::NotFound),
            (Self::Opened(payment), command) => (payment, command),
        };
        match payment {
            (_, Open(_)) => Err(PaymentRefusal::AlreadyExists),
            (payment, Confirm { token, capture }) => payment.confirm(token, capture),
            (payment, RequestCapture { amount }) => payment.request_capture(amount),
            (payment, RequestVoid { reason }) => payment.request_void(reason),
            (payment, RequestRefund { refund_id, amount, reason }) => payment.request_refund(refund_id, amount, reason),
            (payment, Close { refund_id, reason }) => payment.close(refund_id, reason),
            (payment, Expire) if payment.expired || payment.captured > 0 => Ok(vec![]),
            (_, Expire) => Ok(vec![PaymentExpired {}.into()]),
            (payment, Record(outcome)) => payment.record(outcome),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &PaymentEvent) {
        match (&mut *self, event) {
            (Self::Absent, PaymentEvent::PaymentOpened(e)) => {
                *self = Self::Opened(Box::new(OpenedPayment {
                    order_id: e.order_id,
                    amount: e.amount,
                    gateway: e.gateway.clone(),
                    held: 0,
                    captured: 0,
                    refunded: 0,
                    capturing: 0,
                    disputed: 0,
                    charged_back: 0,
                    attempt: Attempt::None,
                    void_requested: false,
                    expired: false,
                    refunds: BTreeMap::new(),
                    references: BTreeSet::new(),
                }));
            }
            (Self::Absent, _) => {}
            (Self::Opened(payment), event) => payment.evolve(event),
        }
    }
}
