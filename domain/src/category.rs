//! Category.

use event_schemas::CategoryEvent;
use serde::{Deserialize, Serialize};

/// Category.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Category;

impl Category {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &CategoryEvent) {}
}
