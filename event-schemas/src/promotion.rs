//! What can happen to a promotion.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CouponCode, CustomerId, Money, OrderId, PromotionId, Timestamp};

/// What a promotion takes off the goods of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PromotionEffect {
    /// A share of the goods, in parts per million: 100000 is 10 %.
    PercentOff {
        /// Parts per million.
        ppm: u32,
    },
    /// A fixed amount, at most what the goods cost; only for carts in its currency.
    AmountOff {
        /// The amount.
        amount: Money,
    },
}

event! {
    /// A promotion with a coupon code was set up.
    PromotionCreated {
        /// The new promotion.
        pub promotion_id: PromotionId,
        /// What staff call it.
        pub name: String,
        /// The code that shoppers enter.
        pub code: CouponCode,
        /// What it takes off.
        pub effect: PromotionEffect,
        /// From when; at once if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub starts_at: Option<Timestamp>,
        /// Until when (exclusive); without end if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ends_at: Option<Timestamp>,
        /// How many orders may use it; any number if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub usage_limit: Option<u32>,
    }
}

event! {
    /// An order used the promotion.
    PromotionRedeemed {
        /// The order.
        pub order_id: OrderId,
        /// The customer, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub customer_id: Option<CustomerId>,
    }
}

event! {
    /// An order that used the promotion was called off; the use is given back.
    PromotionRestored {
        /// The order.
        pub order_id: OrderId,
    }
}

event! {
    /// The promotion was ended by hand.
    PromotionEnded {}
}

events! {
    /// Everything that can happen to a promotion.
    PromotionEvent of "promotion" {
        PromotionCreated = 1,
        PromotionRedeemed = 1,
        PromotionRestored = 1,
        PromotionEnded = 1,
    }
}
