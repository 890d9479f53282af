//! Adjustment.

use event_schemas::AdjustmentEvent;
use serde::{Deserialize, Serialize};

/// Adjustment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Adjustment;

impl Adjustment {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &AdjustmentEvent) {}
}
