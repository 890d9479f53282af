//! Claim.

use event_schemas::ClaimEvent;
use serde::{Deserialize, Serialize};

/// Claim.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Claim;

impl Claim {
    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, _event: &ClaimEvent) {}
}
