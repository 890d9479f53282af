//! The gateway process: recorded requests become calls to a payment gateway. It is the only way to the outside.

use event_schemas::{CommerceEvent, PaymentEvent};

use crate::{GatewayAction, GatewayRequest, Happened, Process, Reaction, order_process::payment_of};

/// Each request that was recorded is one call, with the event's id as the gateway's idempotency key.
#[derive(Debug, Clone, Copy, Default)]
pub struct GatewayProcess;

impl Process for GatewayProcess {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn react(&self, happened: &Happened<'_>) -> Reaction {
        let CommerceEvent::Payment(event) = happened.event else { return Reaction::none() };
        let (gateway, action) = match event {
            PaymentEvent::PaymentConfirmationRequested(e) => {
                let (token, capture, amount) = (e.token.clone(), e.capture, e.amount);
                (&e.gateway, GatewayAction::Confirm { token, capture, amount })
            }
            PaymentEvent::PaymentCaptureRequested(e) => (&e.gateway, GatewayAction::Capture { amount: e.amount }),
            PaymentEvent::PaymentVoidRequested(e) => (&e.gateway, GatewayAction::Void),
            PaymentEvent::PaymentRefundRequested(e) => {
                (&e.gateway, GatewayAction::Refund { refund_id: e.refund_id, amount: e.amount })
            }
            PaymentEvent::PaymentOpened(_)
            | PaymentEvent::PaymentActionRequired(_)
            | PaymentEvent::PaymentAuthorised(_)
            | PaymentEvent::PaymentCaptured(_)
            | PaymentEvent::PaymentVoided(_)
            | PaymentEvent::PaymentRefunded(_)
            | PaymentEvent::PaymentRefundFailed(_)
            | PaymentEvent::PaymentDeclined(_)
            | PaymentEvent::PaymentExpired(_)
            | PaymentEvent::PaymentDisputed(_)
            | PaymentEvent::PaymentDisputeClosed(_) => return Reaction::none(),
        };
        let Some(payment_id) = payment_of(happened.stream) else { return Reaction::none() };
        let request = GatewayRequest { gateway: gateway.clone(), payment_id, idempotency_key: happened.event_id, action };
        Reaction { gateway_call: Some(request), ..Reaction::none() }
    }
}
