//! Stock.

use event_schemas::StockEvent;
use serde::{Deserialize, Serialize};

/// Stock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stock;

impl Stock {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &StockEvent) {}
}
