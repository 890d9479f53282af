//! Cart.

use event_schemas::CartEvent;
use serde::{Deserialize, Serialize};

/// Cart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cart;

impl Cart {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &CartEvent) {}
}
