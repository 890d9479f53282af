//! Payments in words.

use event_schemas::PaymentEvent;

use super::{also, until};

pub(super) fn payment(event: &PaymentEvent) -> String {
    match event {
        PaymentEvent::PaymentOpened(event) => {
            let (amount, order, gateway) = (event.amount, event.order_id, &event.gateway);
            format!("a payment of {amount} was opened for order {order} at {gateway}{}", also(", by ", event.method.as_ref()))
        }
        PaymentEvent::PaymentConfirmationRequested(event) => {
            let how = if event.capture { "take the money at once" } else { "only hold the money" };
            format!("the buyer confirmed: the gateway is asked to {how}")
        }
        PaymentEvent::PaymentActionRequired(event) => {
            format!("the buyer has to act first at {} ({})", event.action_url, event.gateway_reference)
        }
        PaymentEvent::PaymentAuthorised(event) => {
            let until = until(" until ", event.expires_at);
            format!("the gateway holds {}{until} ({})", event.amount, event.gateway_reference)
        }
        PaymentEvent::PaymentCaptureRequested(event) => format!("{} of the held money is to be taken", event.amount),
        PaymentEvent::PaymentCaptured(event) => format!("{} was taken ({})", event.amount, event.gateway_reference),
        PaymentEvent::PaymentVoidRequested(event) => format!("the held money is to be let go: {}", event.reason),
        PaymentEvent::PaymentVoided(event) => format!("the held money was let go ({})", event.gateway_reference),
        PaymentEvent::PaymentRefundRequested(event) => {
            format!("{} is to go back to the buyer (refund {}): {}", event.amount, event.refund_id, event.reason)
        }
        PaymentEvent::PaymentRefunded(event) => {
            let (amount, refund, reference) = (event.amount, event.refund_id, &event.gateway_reference);
            format!("{amount} went back to the buyer (refund {refund}, {reference})")
        }
        PaymentEvent::PaymentRefundFailed(event) => format!("refund {} failed: {}", event.refund_id, event.reason),
        PaymentEvent::PaymentDeclined(event) => format!("the gateway declined: {} ({})", event.message, event.code),
        PaymentEvent::PaymentExpired(_) => "it can no longer be made: its order is gone".to_owned(),
        PaymentEvent::PaymentDisputed(event) => format!("the buyer's bank took {} back for now: {}", event.amount, event.reason),
        PaymentEvent::PaymentDisputeClosed(event) => {
            let outcome = if event.won { "won: the shop keeps" } else { "lost: the buyer keeps" };
            format!("the dispute was {outcome} {}", event.amount)
        }
    }
}
