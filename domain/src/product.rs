//! Product.

use event_schemas::ProductEvent;
use serde::{Deserialize, Serialize};

/// Product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Product;

impl Product {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &ProductEvent) {}
}
