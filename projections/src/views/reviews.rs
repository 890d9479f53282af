//! What do buyers say of their orders?

use event_schemas::{CommerceEvent, CustomerId, OrderId, PersonId, Personal, ReviewEvent, ReviewId, Timestamp};

use crate::{Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError, conditions::Conditions};

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
        /// Whom its texts are about, by the id of a key.
        person_id: Option<PersonId>,
        /// Its title: personal, sealed.
        title: Option<Personal<String>>,
        /// Its text: personal, sealed.
        comment: Option<Personal<String>>,
        /// When it was written.
        submitted_at: Timestamp,
    }
    index "order_id";
    index "customer_id";
    index "person_id";
    index "submitted_at, review_id";
    index "rating, submitted_at, review_id";
}

/// The reviews.
pub const REVIEWS: Projection = Projection { name: "reviews", version: 2, tables: &[Review::TABLE], for_analysts: true, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Review(ReviewEvent::ReviewSubmitted(submitted)) = fact.event else { return Ok(()) };
    Ok(rows.put(Review {
        review_id: submitted.review_id,
        order_id: submitted.order_id,
        customer_id: submitted.customer_id.clone(),
        rating: submitted.rating,
        person_id: submitted.title.iter().chain(&submitted.comment).find_map(Personal::person),
        title: submitted.title.clone(),
        comment: submitted.comment.clone(),
        submitted_at: fact.occurred_at,
        position: fact.position,
    })?)
}

/// Which reviews to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReviewFilter {
    /// Only of this order.
    pub order_id: Option<OrderId>,
    /// Only with this rating.
    pub rating: Option<u8>,
    /// Only written at or after.
    pub from: Option<Timestamp>,
    /// Only written before.
    pub to: Option<Timestamp>,
}

sortings! {
    /// How to sort reviews.
    ReviewSort {
        /// By when they were written.
        Submitted "submitted": "t.submitted_at", "t.review_id";
        /// By the rating, then by when they were written.
        Rating "rating": "t.rating", "t.submitted_at", "t.review_id";
    }
}

impl Reader<'_> {
    /// Reviews.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn reviews(
        &self,
        filter: &ReviewFilter,
        sort: ReviewSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Review>, ViewError> {
        let in_order = sort == ReviewSort::Submitted;
        let mut conditions = Conditions::default();
        conditions.few(filter.order_id.as_ref(), "t.order_id");
        conditions.many(filter.rating.as_ref(), "t.rating", true);
        conditions.between("t.submitted_at", filter.from.as_ref(), filter.to.as_ref(), in_order);
        self.page(&conditions, sort.order(descending), page)
    }
}
