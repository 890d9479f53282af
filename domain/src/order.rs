//! Order.

use event_schemas::OrderEvent;
use serde::{Deserialize, Serialize};

/// Order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Order;

impl Order {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &OrderEvent) {}
}
