//! Stock in words.

use crate::{AdjustmentReason, ReleaseReason, StockEvent};

use super::{also, units, until};

pub(super) fn stock(event: &StockEvent, of: &str) -> String {
    match event {
        StockEvent::StockReceived(event) => {
            let reference = event.reference.as_ref().map_or(String::new(), |reference| format!(" ({reference})"));
            format!("took in {} of {} at {}{reference}", units(event.quantity), event.sku, event.location)
        }
        StockEvent::StockAdjusted(event) => {
            let (delta, why, note) = (event.delta, why(event.reason), also(": ", event.note.as_ref()));
            format!("corrected the books of {} at {} by {delta:+}, {why}{note}", event.sku, event.location)
        }
        StockEvent::StockCounted(event) => {
            let (sku, location, counted, expected) = (&event.sku, &event.location, event.counted, event.expected);
            format!("counted {sku} at {location}: {counted} on the shelf, {expected} in the books")
        }
        StockEvent::StockTransferredOut(event) => format!("sent {} of {of} to {}", units(event.quantity), event.to),
        StockEvent::StockTransferredIn(event) => {
            format!("took in {} of {} at {} from {}", units(event.quantity), event.sku, event.location, event.from)
        }
        StockEvent::StockPolicySet(event) => format!(
            "set for {} at {}: {} kept back from shoppers, up to {} sold on backorder, low at {}",
            event.sku,
            event.location,
            units(event.safety_stock),
            event.backorder_limit,
            event.low_stock_threshold
        ),
        StockEvent::StockReserved(event) => {
            let until = until(" until ", event.expires_at);
            format!("set {} of {of} aside for order {}{until}", units(event.quantity), event.order_id)
        }
        StockEvent::ReservationCommitted(event) => {
            format!("kept what is set aside of {of} for order {}, which is paid for, until it ships", event.order_id)
        }
        StockEvent::ReservationReleased(event) => {
            let why = match event.reason {
                ReleaseReason::Cancelled => "it was cancelled",
                ReleaseReason::Expired => "it was not paid in time",
                ReleaseReason::PaymentFailed => "its payment failed",
            };
            format!("gave back {} of {of} set aside for order {}, because {why}", units(event.quantity), event.order_id)
        }
        StockEvent::StockShipped(event) => format!("shipped {} of {of} for order {}", units(event.quantity), event.order_id),
        StockEvent::StockReturned(event) => {
            let (what, location) = (units(event.quantity), &event.location);
            format!("took back {what} of {} at {location} (return {})", event.sku, event.return_id)
        }
    }
}

fn why(reason: AdjustmentReason) -> &'static str {
    match reason {
        AdjustmentReason::Damaged => "damaged",
        AdjustmentReason::Lost => "lost",
        AdjustmentReason::Found => "found",
        AdjustmentReason::Theft => "stolen",
        AdjustmentReason::Correction => "because an earlier entry was wrong",
        AdjustmentReason::Other => "for another reason",
    }
}
