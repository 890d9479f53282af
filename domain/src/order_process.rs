//! The order process: what money does to orders.

use event_schemas::{CommerceEvent, PaymentEvent, PaymentId, RefundId, StreamId};

use crate::{
    CancelUnpaidOrder, Decision, GiveBackToClosedOrder, Happened, Process, Reaction, RecordPayment, RecordRefund,
    VoidHoldOfClosedOrder,
};

/// Money taken makes an order paid; money held for a closed order is let go, and money won in a dispute over one goes back;
/// money gone back is noted; an order whose payment came to nothing is called off.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderProcess;

impl Process for OrderProcess {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn react(&self, happened: &Happened<'_>) -> Reaction {
        let CommerceEvent::Payment(event) = happened.event else { return Reaction::none() };
        let Some(payment_id) = payment_of(happened.stream) else { return Reaction::none() };
        let refund_id = RefundId(happened.derived_id("refund"));
        match event {
            PaymentEvent::PaymentCaptured(_) => {
                let record = RecordPayment { payment_id, refund_id, now: happened.recorded_at };
                // A part may have been taken, and the rest still be held.
                let decisions: Vec<Box<dyn Decision>> = vec![Box::new(record), Box::new(VoidHoldOfClosedOrder { payment_id })];
                Reaction { decisions, ..Reaction::none() }
            }
            PaymentEvent::PaymentAuthorised(_) | PaymentEvent::PaymentDeclined(_) => {
                Reaction::decide(VoidHoldOfClosedOrder { payment_id })
            }
            PaymentEvent::PaymentRefunded(_) => Reaction::decide(RecordRefund { payment_id }),
            PaymentEvent::PaymentDisputeClosed(closed) if closed.won => {
                Reaction::decide(GiveBackToClosedOrder { payment_id, refund_id })
            }
            PaymentEvent::PaymentVoided(_) | PaymentEvent::PaymentExpired(_) => {
                Reaction::decide(CancelUnpaidOrder { payment_id, refund_id })
            }
            PaymentEvent::PaymentOpened(_)
            | PaymentEvent::PaymentConfirmationRequested(_)
            | PaymentEvent::PaymentActionRequired(_)
            | PaymentEvent::PaymentCaptureRequested(_)
            | PaymentEvent::PaymentVoidRequested(_)
            | PaymentEvent::PaymentRefundRequested(_)
            | PaymentEvent::PaymentRefundFailed(_)
            | PaymentEvent::PaymentDisputed(_)
            | PaymentEvent::PaymentDisputeClosed(_) => Reaction::none(),
        }
    }
}

/// The payment whose stream it is.
pub(crate) fn payment_of(stream: &StreamId) -> Option<PaymentId> {
    stream.aggregate_id.parse().ok()
}
