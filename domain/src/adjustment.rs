//! A correction of the books outside any order: a credit note or a bad debt.

use event_schemas::{AdjustmentEvent, BadDebtAdjusted, CreditNoteIssued};
use serde::{Deserialize, Serialize};

use crate::{Change, Decision, Refusal, World, stream_of};

/// What can be asked of a correction of the books.
#[derive(Debug, Clone, PartialEq)]
pub enum AdjustmentCommand {
    /// Give a customer money back for goods that match no known order.
    IssueCreditNote(CreditNoteIssued),
    /// Give up money that customers owe, or correct an earlier write-off.
    AdjustBadDebt(BadDebtAdjusted),
}

/// Why a command to a correction of the books was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdjustmentRefusal {
    /// The id is in use.
    #[error("the document exists already")]
    AlreadyExists,
    /// A document corrects something.
    #[error("the amount must not be zero, and each line of a credit note must be more than zero")]
    InvalidAmount,
    /// The total of a credit note is the sum of its lines.
    #[error("the lines come to {lines_minor}, not to {total_minor}")]
    WrongTotal {
        /// The sum of the lines, in minor units.
        lines_minor: i64,
        /// The total that was named, in minor units.
        total_minor: i64,
    },
    /// The amounts do not fit in minor units.
    #[error("the total is too large")]
    TotalTooLarge,
}

impl AdjustmentRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "ADJUSTMENT_EXISTS",
            Self::InvalidAmount => "INVALID_AMOUNT",
            Self::WrongTotal { .. } => "WRONG_TOTAL",
            Self::TotalTooLarge => "TOTAL_TOO_LARGE",
        }
    }
}

/// A correction of the books.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Adjustment {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Was booked.
    Booked,
}

impl Adjustment {
    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: AdjustmentCommand) -> Result<Vec<AdjustmentEvent>, AdjustmentRefusal> {
        if *self != Self::Absent {
            return Err(AdjustmentRefusal::AlreadyExists);
        }
        match command {
            AdjustmentCommand::IssueCreditNote(note) => {
                if note.lines.is_empty() || note.lines.iter().any(|line| line.amount_minor <= 0) {
                    return Err(AdjustmentRefusal::InvalidAmount);
                }
                let mut amounts = note.lines.iter().map(|line| line.amount_minor);
                let lines_minor = amounts.try_fold(0_i64, i64::checked_add).ok_or(AdjustmentRefusal::TotalTooLarge)?;
                let total_minor = note.total.minor;
                if lines_minor != total_minor {
                    return Err(AdjustmentRefusal::WrongTotal { lines_minor, total_minor });
                }
                Ok(vec![note.into()])
            }
            AdjustmentCommand::AdjustBadDebt(debt) if debt.amount.minor == 0 => Err(AdjustmentRefusal::InvalidAmount),
            AdjustmentCommand::AdjustBadDebt(debt) => Ok(vec![debt.into()]),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &AdjustmentEvent) {
        match event {
            AdjustmentEvent::CreditNoteIssued(_) | AdjustmentEvent::BadDebtAdjusted(_) => *self = Self::Booked,
        }
    }
}

/// Give a customer money back for goods that match no known order.
#[derive(Debug, Clone)]
pub struct IssueCreditNote {
    /// The document.
    pub note: CreditNoteIssued,
}

impl Decision for IssueCreditNote {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let id = self.note.adjustment_id;
        let events = world.get::<Adjustment>(id).decide(AdjustmentCommand::IssueCreditNote(self.note.clone()))?;
        Ok(Change::all(stream_of::<Adjustment>(id), events))
    }
}

/// Give up money that customers owe, or correct an earlier write-off.
#[derive(Debug, Clone)]
pub struct AdjustBadDebt {
    /// The document.
    pub debt: BadDebtAdjusted,
}

impl Decision for AdjustBadDebt {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let id = self.debt.adjustment_id;
        let events = world.get::<Adjustment>(id).decide(AdjustmentCommand::AdjustBadDebt(self.debt.clone()))?;
        Ok(Change::all(stream_of::<Adjustment>(id), events))
    }
}
