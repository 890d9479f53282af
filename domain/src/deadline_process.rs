//! The deadline process: orders that are not paid in time, carts that nothing happens to, holds that run out.

use event_schemas::{CartEvent, CommerceEvent, OrderEvent, PaymentEvent, RefundId, Timestamp};

use crate::{Decision, ExpireCart, ExpireOrder, ExpirePayment, Happened, Process, Reaction, order_process::payment_of};

/// Time is a process too: events set deadlines, and what is due is decided. A cart's deadline is set once, when it begins; a
/// cart that was touched since says until when to come again (see [`crate::Refusal::not_before`]).
#[derive(Debug, Clone, Copy, Default)]
pub struct DeadlineProcess;

impl Process for DeadlineProcess {
    fn name(&self) -> &'static str {
        "deadlines"
    }

    fn react(&self, happened: &Happened<'_>) -> Reaction {
        let key = happened.stream;
        match happened.event {
            CommerceEvent::Cart(CartEvent::CartCreated(cart)) => Reaction::deadline(key, cart.expires_at),
            CommerceEvent::Cart(CartEvent::CartCheckedOut(_) | CartEvent::CartExpired(_)) => Reaction::settled(key),
            CommerceEvent::Order(OrderEvent::OrderPlaced(order)) => match order.pay_by {
                Some(pay_by) => Reaction::deadline(key, pay_by),
                None => Reaction::none(),
            },
            CommerceEvent::Order(OrderEvent::OrderCancelled(_) | OrderEvent::OrderExpired(_)) => Reaction::settled(key),
            CommerceEvent::Payment(PaymentEvent::PaymentAuthorised(held)) => match held.expires_at {
                Some(expires_at) => Reaction::deadline(key, expires_at),
                None => Reaction::none(),
            },
            CommerceEvent::Payment(PaymentEvent::PaymentVoided(_) | PaymentEvent::PaymentExpired(_)) => Reaction::settled(key),
            _ => Reaction::none(),
        }
    }

    fn on_due(&self, happened: &Happened<'_>, now: Timestamp) -> Vec<Box<dyn Decision>> {
        match happened.event {
            CommerceEvent::Cart(CartEvent::CartCreated(cart)) => {
                vec![Box::new(ExpireCart { cart_id: cart.cart_id, now })]
            }
            CommerceEvent::Order(OrderEvent::OrderPlaced(order)) => {
                let refund_id = RefundId(happened.derived_id("refund"));
                vec![Box::new(ExpireOrder { order_id: order.order_id, refund_id, now })]
            }
            CommerceEvent::Payment(PaymentEvent::PaymentAuthorised(_)) => match payment_of(happened.stream) {
                Some(payment_id) => vec![Box::new(ExpirePayment { payment_id })],
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}
