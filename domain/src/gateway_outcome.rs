//! What a payment gateway says happened: the answer to our call, or a webhook. Both may come, in any order, and twice.

use event_schemas::{Money, PaymentEvent, PaymentId, RefundId, Timestamp};

use crate::{Change, Decision, Payment, PaymentCommand, Refusal, World, stream_of};

/// What a gateway says about a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum GatewayOutcome {
    /// The buyer has to do something first.
    ActionRequired {
        /// Where the buyer does it.
        action_url: String,
        /// The gateway's id of the attempt.
        gateway_reference: String,
    },
    /// Money is held.
    Authorised {
        /// How much.
        amount: Money,
        /// The gateway's id of the authorisation.
        gateway_reference: String,
        /// When the hold ends, if the gateway says so.
        expires_at: Option<Timestamp>,
    },
    /// Money was taken.
    Captured {
        /// How much.
        amount: Money,
        /// The gateway's id of the capture.
        gateway_reference: String,
    },
    /// The gateway declined.
    Declined {
        /// The gateway's code.
        code: String,
        /// The gateway's words.
        message: String,
    },
    /// Held money was let go.
    Voided {
        /// The gateway's id of the void.
        gateway_reference: String,
    },
    /// Money went back to the buyer.
    Refunded {
        /// The refund.
        refund_id: RefundId,
        /// How much.
        amount: Money,
        /// The gateway's id of the refund.
        gateway_reference: String,
    },
    /// The gateway would not refund.
    RefundFailed {
        /// The refund.
        refund_id: RefundId,
        /// The gateway's reason.
        reason: String,
    },
    /// The buyer's bank took money back for now.
    Disputed {
        /// How much.
        amount: Money,
        /// The bank's reason.
        reason: String,
    },
    /// A dispute ended.
    DisputeClosed {
        /// Whether the shop keeps the money.
        won: bool,
    },
}

impl GatewayOutcome {
    /// The amount that moved, if any did.
    pub(crate) fn amount(&self) -> Option<Money> {
        match self {
            Self::Authorised { amount, .. }
            | Self::Captured { amount, .. }
            | Self::Refunded { amount, .. }
            | Self::Disputed { amount, .. } => Some(*amount),
            Self::ActionRequired { .. }
            | Self::Declined { .. }
            | Self::Voided { .. }
            | Self::RefundFailed { .. }
            | Self::DisputeClosed { .. } => None,
        }
    }

    /// What is applied once. A gateway may use one id for several steps of a payment, so the step is part of it.
    pub(crate) fn reference(&self) -> Option<String> {
        match self {
            Self::ActionRequired { gateway_reference, .. } => Some(format!("action:{gateway_reference}")),
            Self::Authorised { gateway_reference, .. } => Some(format!("authorisation:{gateway_reference}")),
            Self::Captured { gateway_reference, .. } => Some(format!("capture:{gateway_reference}")),
            Self::Voided { gateway_reference } => Some(format!("void:{gateway_reference}")),
            Self::Refunded { gateway_reference, .. } => Some(format!("refund:{gateway_reference}")),
            Self::Declined { .. } | Self::RefundFailed { .. } | Self::Disputed { .. } | Self::DisputeClosed { .. } => None,
        }
    }

    /// The same for what is recorded already.
    pub(crate) fn reference_of(event: &PaymentEvent) -> Option<String> {
        match event {
            PaymentEvent::PaymentActionRequired(e) => Some(format!("action:{}", e.gateway_reference)),
            PaymentEvent::PaymentAuthorised(e) => Some(format!("authorisation:{}", e.gateway_reference)),
            PaymentEvent::PaymentCaptured(e) => Some(format!("capture:{}", e.gateway_reference)),
            PaymentEvent::PaymentVoided(e) => Some(format!("void:{}", e.gateway_reference)),
            PaymentEvent::PaymentRefunded(e) => Some(format!("refund:{}", e.gateway_reference)),
            PaymentEvent::PaymentOpened(_)
            | PaymentEvent::PaymentConfirmationRequested(_)
            | PaymentEvent::PaymentCaptureRequested(_)
            | PaymentEvent::PaymentVoidRequested(_)
            | PaymentEvent::PaymentRefundRequested(_)
            | PaymentEvent::PaymentRefundFailed(_)
            | PaymentEvent::PaymentDeclined(_)
            | PaymentEvent::PaymentExpired(_)
            | PaymentEvent::PaymentDisputed(_)
            | PaymentEvent::PaymentDisputeClosed(_) => None,
        }
    }
}

/// Record what a gateway says about a payment: one answer, all of it at once, so that nobody acts on money that is held and
/// does not see yet that it was taken. What the gateway says twice, or too late, changes nothing.
#[derive(Debug, Clone)]
pub struct RecordGatewayOutcomes {
    /// The payment.
    pub payment_id: PaymentId,
    /// What the gateway says, in order.
    pub outcomes: Vec<GatewayOutcome>,
}

impl Decision for RecordGatewayOutcomes {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let mut payment = world.get::<Payment>(self.payment_id).clone();
        let mut events = Vec::new();
        for outcome in &self.outcomes {
            let more = payment.decide(PaymentCommand::Record(outcome.clone()))?;
            more.iter().for_each(|event| payment.evolve(event));
            events.extend(more);
        }
        Ok(Change::all(stream_of::<Payment>(self.payment_id), events))
    }
}
