//! What can happen to the stock of one SKU at one location.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocationId, OrderId, ReturnId, Sku, Timestamp};

/// Why a reservation was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// The order was cancelled.
    Cancelled,
    /// The order was not paid in time.
    Expired,
    /// The payment failed for good.
    PaymentFailed,
}

/// Why the books were corrected by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentReason {
    /// Units can no longer be sold.
    Damaged,
    /// Units are not where they should be.
    Lost,
    /// Units turned up that the books did not know.
    Found,
    /// Units were stolen.
    Theft,
    /// An earlier entry was wrong.
    Correction,
    /// Anything else: the note says what.
    Other,
}

event! {
    /// Goods came in.
    StockReceived {
        /// What came in.
        pub sku: Sku,
        /// Where it is now.
        pub location: LocationId,
        /// How many units.
        pub quantity: u32,
        /// The delivery or purchase order it belongs to, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reference: Option<String>,
    }
}

event! {
    /// The books were corrected by hand.
    StockAdjusted {
        /// What is held.
        pub sku: Sku,
        /// Where it is held.
        pub location: LocationId,
        /// Units added (positive) or taken away (negative).
        pub delta: i64,
        /// Why.
        pub reason: AdjustmentReason,
        /// Why, in the words of whoever did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub note: Option<String>,
    }
}

event! {
    /// The shelf was counted; the difference to the books is shrinkage (or a find).
    StockCounted {
        /// What is held.
        pub sku: Sku,
        /// Where it is held.
        pub location: LocationId,
        /// Units found on the shelf.
        pub counted: u32,
        /// Units that the books said.
        pub expected: i64,
    }
}

event! {
    /// Goods left for another location of the store.
    StockTransferredOut {
        /// How many units.
        pub quantity: u32,
        /// Where they went.
        pub to: LocationId,
    }
}

event! {
    /// Goods arrived from another location of the store.
    StockTransferredIn {
        /// What is held.
        pub sku: Sku,
        /// Where it is held.
        pub location: LocationId,
        /// How many units.
        pub quantity: u32,
        /// Where they came from.
        pub from: LocationId,
    }
}

event! {
    /// The rules for selling this stock were set.
    StockPolicySet {
        /// What is held.
        pub sku: Sku,
        /// Where it is held.
        pub location: LocationId,
        /// Units never offered to shoppers.
        pub safety_stock: u32,
        /// Units that may be sold beyond what is there.
        pub backorder_limit: u32,
        /// Available units at or below which the stock counts as low.
        pub low_stock_threshold: u32,
    }
}

event! {
    /// Units were set aside for an order.
    StockReserved {
        /// The order.
        pub order_id: OrderId,
        /// How many units.
        pub quantity: u32,
        /// When they are given back unless the order is paid; none for a paid order (reserved again after a late payment).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires_at: Option<Timestamp>,
    }
}

event! {
    /// The order is paid: its units stay set aside until they are shipped.
    ReservationCommitted {
        /// The order.
        pub order_id: OrderId,
    }
}

event! {
    /// The units set aside for an order were given back.
    ReservationReleased {
        /// The order.
        pub order_id: OrderId,
        /// How many units.
        pub quantity: u32,
        /// Why.
        pub reason: ReleaseReason,
    }
}

event! {
    /// Units left the house for an order.
    StockShipped {
        /// The order.
        pub order_id: OrderId,
        /// How many units.
        pub quantity: u32,
    }
}

event! {
    /// Units came back from a customer and are for sale again.
    StockReturned {
        /// What came back.
        pub sku: Sku,
        /// Where it is now.
        pub location: LocationId,
        /// How many units.
        pub quantity: u32,
        /// The return they belong to.
        pub return_id: ReturnId,
    }
}

events! {
    /// Everything that can happen to the stock of one SKU at one location.
    StockEvent of "stock" {
        StockReceived = 1,
        StockAdjusted = 2,
        StockCounted = 1,
        StockTransferredOut = 1,
        StockTransferredIn = 1,
        StockPolicySet = 1,
        StockReserved = 1,
        ReservationCommitted = 1,
        ReservationReleased = 1,
        StockShipped = 1,
        StockReturned = 1,
    }
}
