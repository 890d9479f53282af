//! Promotion.

use event_schemas::PromotionEvent;
use serde::{Deserialize, Serialize};

/// Promotion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Promotion;

impl Promotion {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &PromotionEvent) {}
}
