//! A review of a purchase.

use event_schemas::{OrderId, ReviewEvent, ReviewSubmitted};
use serde::{Deserialize, Serialize};

use crate::{Change, ClaimName, Decision, Order, OrderRefusal, Refusal, World, product_decisions::take, stream_of};

/// What can be asked of a review.
#[derive(Debug, Clone, PartialEq)]
pub enum ReviewCommand {
    /// Submit it.
    Submit(ReviewSubmitted),
}

/// Why a command to a review was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReviewRefusal {
    /// The id is in use.
    #[error("the review exists already")]
    AlreadyExists,
    /// A rating is 1 (worst) to 5 (best).
    #[error("a rating is 1 to 5, not {rating}")]
    InvalidRating {
        /// What was given.
        rating: u8,
    },
    /// Only who bought can review.
    #[error("only the buyer of order {order_id} can review it")]
    NotTheBuyer {
        /// The order.
        order_id: OrderId,
    },
}

impl ReviewRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "REVIEW_EXISTS",
            Self::InvalidRating { .. } => "INVALID_RATING",
            Self::NotTheBuyer { .. } => "NOT_THE_BUYER",
        }
    }
}

/// A review.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Review {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Was submitted.
    Submitted,
}

impl Review {
    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: ReviewCommand) -> Result<Vec<ReviewEvent>, ReviewRefusal> {
        let ReviewCommand::Submit(review) = command;
        if *self != Self::Absent {
            return Err(ReviewRefusal::AlreadyExists);
        }
        if !(1..=5).contains(&review.rating) {
            return Err(ReviewRefusal::InvalidRating { rating: review.rating });
        }
        Ok(vec![review.into()])
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &ReviewEvent) {
        match event {
            ReviewEvent::ReviewSubmitted(_) => *self = Self::Submitted,
        }
    }
}

/// Review an order that was paid, once: by the customer who bought it, or, when a guest did, by whoever knows its id. That is
/// then a guest's review, whoever wrote it down: staff do not become the customer.
#[derive(Debug, Clone)]
pub struct SubmitReview {
    /// The review, with the customer who asks.
    pub review: ReviewSubmitted,
}

impl Decision for SubmitReview {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let ReviewSubmitted { review_id, order_id, .. } = self.review;
        let stream = stream_of::<Review>(review_id);
        let claim = take(world, ClaimName::Review(order_id), &stream);
        let review = world.get::<Review>(review_id);
        let order = world.get::<Order>(order_id).placed()?;
        if order.customer_id.is_some() && order.customer_id != self.review.customer_id {
            return Err(ReviewRefusal::NotTheBuyer { order_id }.into());
        }
        if !order.facts.is_paid() {
            return Err(OrderRefusal::NotPaid.into());
        }
        let submitted = ReviewSubmitted { customer_id: order.customer_id.clone(), ..self.review.clone() };
        let mut changes = Change::all(stream, review.decide(ReviewCommand::Submit(submitted))?);
        changes.extend(claim?);
        Ok(changes)
    }
}
