//! What is known of a payment once it is opened, and what its rules make of that.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{
    Money, OrderId, PaymentActionRequired, PaymentAuthorised, PaymentCaptureRequested, PaymentCaptured,
    PaymentConfirmationRequested, PaymentDeclined, PaymentDisputeClosed, PaymentDisputed, PaymentEvent, PaymentExpired,
    PaymentOpened, PaymentRefundFailed, PaymentRefundRequested, PaymentRefunded, PaymentVoidRequested, PaymentVoided, RefundId,
};
use serde::{Deserialize, Serialize};

use crate::{GatewayOutcome, PaymentRefusal};

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
    /// A payment that was just opened.
    pub(crate) fn of(opened: &PaymentOpened) -> Self {
        Self {
            order_id: opened.order_id,
            amount: opened.amount,
            gateway: opened.gateway.clone(),
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
        }
    }

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
        let gone = [self.refunded, self.pending_refunds_minor(), self.disputed, self.charged_back];
        // A gateway may report more than was ever taken; then nothing is left to go back.
        gone.into_iter().fold(self.captured, i64::saturating_sub).max(0)
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

    pub(crate) fn confirm(&self, token: String, capture: bool) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
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

    pub(crate) fn request_capture(&self, amount: Option<Money>) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
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

    pub(crate) fn request_void(&self, reason: String) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        if self.hold_minor() == 0 {
            return Err(PaymentRefusal::NothingHeld);
        }
        if self.capturing > 0 {
            return Err(PaymentRefusal::InProgress);
        }
        let requested = || PaymentVoidRequested { reason, gateway: self.gateway.clone() }.into();
        Ok(if self.void_requested { vec![] } else { vec![requested()] })
    }

    pub(crate) fn request_refund(
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

    pub(crate) fn close(&self, refund_id: RefundId, reason: String) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
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

    pub(crate) fn expire(&self) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let over = self.expired || self.captured > 0;
        Ok(if over { vec![] } else { vec![PaymentExpired {}.into()] })
    }

    pub(crate) fn record(&self, outcome: GatewayOutcome) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
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

    pub(crate) fn evolve(&mut self, event: &PaymentEvent) {
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
