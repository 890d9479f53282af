//! What can happen to a review of a purchase.

use crate::{CustomerId, OrderId, Personal, ReviewId};

event! {
    /// A buyer reviewed an order.
    ReviewSubmitted {
        /// The new review.
        pub review_id: ReviewId,
        /// The order it is about.
        pub order_id: OrderId,
        /// The customer, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub customer_id: Option<CustomerId>,
        /// 1 (worst) to 5 (best).
        pub rating: u8,
        /// Its title: free text of a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub title: Option<Personal<String>>,
        /// Its text: free text of a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub comment: Option<Personal<String>>,
    }
}

events! {
    /// Everything that can happen to a review.
    ReviewEvent of "review" {
        ReviewSubmitted = 2,
    }
}
