//! Payment.

use event_schemas::PaymentEvent;
use serde::{Deserialize, Serialize};

/// Payment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Payment;

impl Payment {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &PaymentEvent) {}
}
