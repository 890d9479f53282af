//! Why a command was refused, whichever rule it was.

/// A business rule that a command broke. The customer reads its message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Stub.
    #[error("refused")]
    Stub,
}

impl Refusal {
    /// The stable code of the rule, such as `INSUFFICIENT_STOCK`.
    pub fn code(&self) -> &'static str {
        "STUB"
    }

    /// When to come again, if the refusal is only that it is too early.
    pub fn not_before(&self) -> Option<event_schemas::Timestamp> {
        None
    }
}
