//! Review.

use event_schemas::ReviewEvent;
use serde::{Deserialize, Serialize};

/// Review.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Review;

impl Review {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &ReviewEvent) {}
}
