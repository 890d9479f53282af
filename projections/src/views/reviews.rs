//! What do buyers say of their orders?

use event_schemas::{CommerceEvent, CustomerId, OrderId, Personal, ReviewEvent, ReviewId, Timestamp};

use crate::{Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError, conditions::Conditions, page::Order};

row! {
    /// A review of an order.
    Review in "reviews" {
        key {
            /// The review.
            review_id: ReviewId,
        }
        /// The order that it is about.
        order_id: OrderId,
        /// The customer, if known.
        customer_id: Option<CustomerId>,
        /// 1 (worst) to 5 (best).
        rating: u8,
        /// Its title: personal.
        title: Option<Personal<String>>,
        /// Its text: personal.
        comment: Option<Personal<String>>,
        /// When it was written.
        submitted_at: Timestamp,
    }
    index "order_id";
    index "submitted_at, review_id";
    index "rating, submitted_at, review_id";
}

/// The reviews.
pub const REVIEWS: Projection = Projection { name: "reviews", version: 1, tables: &[Review::TABLE], for_analysts: true, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Review(ReviewEvent::ReviewSubmitted(submitted)) = fact.event else { return Ok(()) };
    Ok(rows.put(Review {
        review_id: submitted.review_id,
        order_id: submitted.order_id,
        customer_id: submitted.customer_id.clone(),
        rating: submitted.rating,
        title: submitted.title.clone(),
        comment: submitted.comment.clone(),
        submitted_at: fact.occurred_at,
        position: fact.position,
    })?)
}

impl Reader<'_> {
    /// Reviews, the newest first; of one order or with one rating, if asked.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn reviews(&self, order: Option<OrderId>, rating: Option<u8>, page: &Page) -> Result<Listed<Review>, ViewError> {
        let mut conditions = Conditions::default();
        conditions.few(order.as_ref(), "t.order_id");
        conditions.many(rating.as_ref(), "t.rating", true);
        self.page(&conditions, Order::new("submitted", &["t.submitted_at", "t.review_id"], true), page)
    }
}
