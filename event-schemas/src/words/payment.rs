//! Payments in words.

use crate::PaymentEvent;

use super::{also, because, until};

pub(super) fn payment(event: &PaymentEvent, of: &str) -> String {
    match event {
        PaymentEvent::PaymentOpened(event) => {
            let (amount, order, gateway) = (event.amount, event.order_id, &event.gateway);
            format!("opened {of} of {amount} for order {order} at {gateway}{}", also(", by ", event.method.as_ref()))
        }
        PaymentEvent::PaymentConfirmationRequested(event) => {
            let how = if event.capture { "take the money at once" } else { "only hold the money" };
            format!("confirmed {of} of {}: {} is asked to {how}", event.amount, event.gateway)
        }
        PaymentEvent::PaymentActionRequired(event) => {
            let (url, reference) = (&event.action_url, &event.gateway_reference);
            format!("recorded that the buyer has to act first for {of}, at {url} ({reference})")
        }
        PaymentEvent::PaymentAuthorised(event) => {
            let until = until(" until ", event.expires_at);
            format!("recorded that the gateway holds {} for {of}{until} ({})", event.amount, event.gateway_reference)
        }
        PaymentEvent::PaymentCaptureRequested(event) => format!("asked to take {} of what is held for {of}", event.amount),
        PaymentEvent::PaymentCaptured(event) => {
            format!("recorded that {} was taken for {of} ({})", event.amount, event.gateway_reference)
        }
        PaymentEvent::PaymentVoidRequested(event) => {
            format!("asked to let go what is held for {of}{}", because(&event.reason))
        }
        PaymentEvent::PaymentVoided(event) => {
            format!("recorded that what was held for {of} was let go ({})", event.gateway_reference)
        }
        PaymentEvent::PaymentRefundRequested(event) => {
            let why = because(&event.reason);
            format!("refunded {} of {of}{why} (refund {})", event.amount, event.refund_id)
        }
        PaymentEvent::PaymentRefunded(event) => {
            let (amount, refund, reference) = (event.amount, event.refund_id, &event.gateway_reference);
            format!("recorded that {amount} of {of} went back to the buyer (refund {refund}, {reference})")
        }
        PaymentEvent::PaymentRefundFailed(event) => {
            format!("recorded that refund {} of {of} failed: {}", event.refund_id, event.reason)
        }
        PaymentEvent::PaymentDeclined(event) => {
            format!("recorded that the gateway declined {of}: {} ({})", event.message, event.code)
        }
        PaymentEvent::PaymentExpired(_) => format!("closed {of}, because its order is gone"),
        PaymentEvent::PaymentDisputed(event) => {
            let why = because(&event.reason);
            format!("recorded that the buyer's bank took {} of {of} back for now{why}", event.amount)
        }
        PaymentEvent::PaymentDisputeClosed(event) => {
            let outcome = if event.won { "won: the shop keeps" } else { "lost: the buyer keeps" };
            format!("recorded that the dispute about {of} was {outcome} {}", event.amount)
        }
    }
}
