//! What the model says of payments.

use domain::GatewayOutcome;
use uuid::Uuid;

use super::{Answer, Ask, Attempt, Code, Effect, Model, Payment, Refund};

impl Payment {
    pub fn authorised(&self) -> i64 {
        self.held.max(self.captured)
    }

    pub fn hold(&self) -> i64 {
        self.authorised() - self.captured
    }

    pub fn pending(&self) -> i64 {
        self.refunds.values().map(|refund| if let Refund::Pending(minor) = refund { *minor } else { 0 }).sum()
    }

    /// What was taken and neither went back nor is on its way back; below zero if more goes back than was taken.
    pub fn kept(&self) -> i64 {
        self.captured - self.refunded - self.pending() - self.disputed - self.charged_back
    }

    pub fn refundable(&self) -> i64 {
        self.kept().max(0)
    }

    /// What a refund asks of the gateway, unless it was asked already.
    pub fn request_refund(&self, id: Uuid, amount: Option<i64>) -> Result<Option<i64>, Code> {
        if let Some(known) = self.refunds.get(&id) {
            let same = amount.is_none_or(|amount| *known == Refund::Pending(amount));
            return if same { Ok(None) } else { Err("REFUND_EXISTS") };
        }
        let (wanted, refundable) = (amount.unwrap_or(self.refundable()), self.refundable());
        if wanted <= 0 && (amount.is_some() || refundable > 0) {
            return Err("INVALID_AMOUNT");
        }
        if refundable == 0 || wanted > refundable { Err("REFUND_EXCEEDS_CAPTURED") } else { Ok(Some(wanted)) }
    }

    /// Whether a void is to be asked of the gateway; not again if it was.
    pub fn request_void(&self) -> Result<bool, Code> {
        if self.hold() == 0 {
            return Err("NOTHING_AUTHORISED");
        }
        if self.capturing > 0 { Err("PAYMENT_IN_PROGRESS") } else { Ok(!self.void_requested) }
    }

    /// What a report of the gateway adds to what is known; nothing if it is known or no longer matters.
    fn hear(&self, outcome: &GatewayOutcome) -> Result<Option<(&'static str, Option<i64>)>, Code> {
        let known = |kind: &'static str, reference: &str| self.references.contains(&(kind, reference.to_owned()));
        let positive = |minor: i64| if minor <= 0 { Err("INVALID_AMOUNT") } else { Ok(()) };
        Ok(match outcome {
            GatewayOutcome::ActionRequired { gateway_reference, .. } => {
                let news = self.attempt == Attempt::Asked && !known("PaymentActionRequired", gateway_reference);
                news.then_some(("PaymentActionRequired", None))
            }
            GatewayOutcome::Authorised { amount, gateway_reference, .. } => {
                let news = !known("PaymentAuthorised", gateway_reference);
                if news {
                    positive(amount.minor)?;
                }
                news.then_some(("PaymentAuthorised", Some(amount.minor)))
            }
            GatewayOutcome::Captured { amount, gateway_reference } => {
                let news = !known("PaymentCaptured", gateway_reference);
                if news {
                    positive(amount.minor)?;
                }
                news.then_some(("PaymentCaptured", Some(amount.minor)))
            }
            GatewayOutcome::Declined { .. } => {
                let asked = self.attempt != Attempt::None || self.capturing > 0;
                asked.then_some(("PaymentDeclined", None))
            }
            GatewayOutcome::Voided { gateway_reference } => {
                (!known("PaymentVoided", gateway_reference)).then_some(("PaymentVoided", None))
            }
            GatewayOutcome::Refunded { refund_id, amount, gateway_reference } => {
                if known("PaymentRefunded", gateway_reference) {
                    return Ok(None);
                }
                positive(amount.minor)?;
                let own = match self.refunds.get(&refund_id.0) {
                    Some(Refund::Done) => return Ok(None),
                    Some(Refund::Pending(minor)) => *minor,
                    Some(Refund::Failed) | None => 0,
                };
                if amount.minor > self.captured - self.refunded - self.pending() + own {
                    return Err("REFUND_EXCEEDS_CAPTURED");
                }
                Some(("PaymentRefunded", Some(amount.minor)))
            }
            GatewayOutcome::RefundFailed { refund_id, .. } => {
                let pending = matches!(self.refunds.get(&refund_id.0), Some(Refund::Pending(_)));
                pending.then_some(("PaymentRefundFailed", None))
            }
            GatewayOutcome::Disputed { amount, .. } => {
                positive(amount.minor)?;
                if self.disputed == 0 && amount.minor > self.refundable() {
                    return Err("REFUND_EXCEEDS_CAPTURED");
                }
                (self.disputed == 0).then_some(("PaymentDisputed", Some(amount.minor)))
            }
            GatewayOutcome::DisputeClosed { .. } => (self.disputed > 0).then_some(("PaymentDisputeClosed", Some(self.disputed))),
        })
    }
}

impl Model {
    pub fn payment(&self, id: Uuid) -> Result<&Payment, Code> {
        self.payments.get(&id).ok_or("PAYMENT_NOT_FOUND")
    }

    pub(super) fn money(&self, ask: &Ask, now: i64) -> Answer {
        let on = |payment: &Uuid, kind| Effect::on("payment", payment, kind);
        match ask {
            Ask::Confirm { payment: id, token, .. } => {
                let payment = self.payment(*id)?;
                self.must_be_payable(payment.order, now)?;
                let due = payment.amount - payment.authorised();
                let busy = payment.attempt == Attempt::Asked || payment.void_requested;
                let bars = [
                    (token.trim().is_empty(), "PAYMENT_TOKEN_MISSING"),
                    (payment.expired, "PAYMENT_EXPIRED"),
                    (due <= 0, "ALREADY_PAID"),
                    (busy, "PAYMENT_IN_PROGRESS"),
                ];
                match bars.iter().find(|(barred, _)| *barred) {
                    Some((_, code)) => Err(code),
                    None => Ok(vec![on(id, "PaymentConfirmationRequested").number("/amount/minor", due)]),
                }
            }
            Ask::Capture { payment: id, amount } => {
                let payment = self.payment(*id)?;
                let free = (payment.hold() - payment.capturing).max(0);
                let wanted = amount.unwrap_or(free);
                let bars = [
                    (free == 0, "NOTHING_AUTHORISED"),
                    (payment.void_requested, "PAYMENT_IN_PROGRESS"),
                    (wanted <= 0, "INVALID_AMOUNT"),
                    (wanted > free, "CAPTURE_EXCEEDS_AUTHORISED"),
                ];
                match bars.iter().find(|(barred, _)| *barred) {
                    Some((_, code)) => Err(code),
                    None => Ok(vec![on(id, "PaymentCaptureRequested").number("/amount/minor", wanted)]),
                }
            }
            Ask::Void { payment } => {
                let asked = self.payment(*payment)?.request_void()?;
                Ok(asked.then(|| on(payment, "PaymentVoidRequested")).into_iter().collect())
            }
            Ask::Refund { payment, refund, amount } => {
                let asked = self.payment(*payment)?.request_refund(*refund, *amount)?;
                Ok(asked.map(|minor| refund_requested(*payment, *refund, minor)).into_iter().collect())
            }
            Ask::Report { payment: id, outcomes } => {
                let mut payment = self.payment(*id)?.clone();
                let mut effects = Vec::new();
                for outcome in outcomes {
                    if let Some((kind, minor)) = payment.hear(outcome)? {
                        payment.hears(kind, outcome);
                        let effect = on(id, kind);
                        effects.push(match minor {
                            Some(minor) => effect.number("/amount/minor", minor),
                            None => effect,
                        });
                    }
                }
                Ok(effects)
            }
            other => panic!("{other:?} is not about money"),
        }
    }
}

pub fn refund_requested(payment: Uuid, refund: Uuid, minor: i64) -> Effect {
    let requested = Effect::on("payment", payment, "PaymentRefundRequested");
    requested.number("/amount/minor", minor).text("/refund_id", refund)
}
