//! Stock in words.

use event_schemas::{AdjustmentReason, ReleaseReason, StockEvent};

use super::{also, units, until};

pub(super) fn stock(event: &StockEvent) -> String {
    match event {
        StockEvent::StockReceived(event) => {
            let reference = event.reference.as_ref().map_or(String::new(), |reference| format!(" ({reference})"));
            format!("{} of {} came in at {}{reference}", units(event.quantity), event.sku, event.location)
        }
        StockEvent::StockAdjusted(event) => {
            let (delta, note) = (event.delta, also(": ", event.note.as_ref()));
            format!("the books of {} at {} were corrected by {delta:+}, {}{note}", event.sku, event.location, why(event.reason))
        }
        StockEvent::StockCounted(event) => {
            let (sku, location, counted, expected) = (&event.sku, &event.location, event.counted, event.expected);
            format!("{sku} at {location} was counted: {counted} on the shelf, {expected} in the books")
        }
        StockEvent::StockTransferredOut(event) => format!("{} left for {}", units(event.quantity), event.to),
        StockEvent::StockTransferredIn(event) => {
            format!("{} of {} arrived at {} from {}", units(event.quantity), event.sku, event.location, event.from)
        }
        StockEvent::StockPolicySet(event) => format!(
            "{} at {}: {} kept back from shoppers, up to {} sold on backorder, low at {}",
            event.sku,
            event.location,
            units(event.safety_stock),
            event.backorder_limit,
            event.low_stock_threshold
        ),
        StockEvent::StockReserved(event) => {
            let until = until(" until ", event.expires_at);
            format!("{} set aside for order {}{until}", units(event.quantity), event.order_id)
        }
        StockEvent::ReservationCommitted(event) => {
            format!("what was set aside for order {} is paid for, and stays set aside until it ships", event.order_id)
        }
        StockEvent::ReservationReleased(event) => {
            let why = match event.reason {
                ReleaseReason::Cancelled => "it was cancelled",
                ReleaseReason::Expired => "it was not paid in time",
                ReleaseReason::PaymentFailed => "its payment failed",
            };
            format!("{} set aside for order {} given back: {why}", units(event.quantity), event.order_id)
        }
        StockEvent::StockShipped(event) => format!("{} shipped for order {}", units(event.quantity), event.order_id),
        StockEvent::StockReturned(event) => {
            let (what, location) = (units(event.quantity), &event.location);
            format!("{what} of {} came back to {location} (return {})", event.sku, event.return_id)
        }
    }
}

fn why(reason: AdjustmentReason) -> &'static str {
    match reason {
        AdjustmentReason::Damaged => "damaged",
        AdjustmentReason::Lost => "lost",
        AdjustmentReason::Found => "found",
        AdjustmentReason::Theft => "stolen",
        AdjustmentReason::Correction => "an earlier entry was wrong",
        AdjustmentReason::Other => "for another reason",
    }
}
