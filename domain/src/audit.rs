//! Who looked at personal data on one day, and who took data along. Nothing depends on it: it is written down, so there is
//! little to decide.

use chrono::NaiveDate;
use event_schemas::{AuditEvent, StreamId};
use serde::{Deserialize, Serialize};

use crate::{Change, Decision, MAX_NAME_CHARS, Refusal, World, stream_of};

/// The most subjects or fields that one event names.
pub const MAX_AUDITED: usize = 100;
/// The most characters of a reason.
pub const MAX_REFERENCE_CHARS: usize = 64;

/// What can be asked of the record of a day.
#[derive(Debug, Clone, PartialEq)]
pub enum AuditCommand {
    /// Write it down.
    Record(AuditEvent),
}

/// Why a command to the record of a day was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AuditRefusal {
    /// A reader is an actor, never an address of the network.
    #[error("a reader is 1 to {MAX_NAME_CHARS} printable characters, and no address of the network")]
    InvalidReader,
    /// A text is empty or too long, or not of its form.
    #[error("the {field} is not of its form{}", if *field == "reason" { ": 1 to 64 letters, digits and -_.:/#" } else { "" })]
    InvalidText {
        /// The part of the event.
        field: &'static str,
    },
    /// What was shown and whose it was are both said, within bounds.
    #[error("there must be 1 to {MAX_AUDITED} {field}")]
    InvalidCount {
        /// The part of the event.
        field: &'static str,
    },
}

impl AuditRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidReader => "INVALID_CALLER",
            Self::InvalidText { .. } => "INVALID_TEXT",
            Self::InvalidCount { .. } => "INVALID_QUANTITY",
        }
    }
}

/// Whether a text can be the reason of a read: the reference of a ticket or a case, such as `TICKET-4711`. Words are not
/// taken, since they would stay in the log when the person they are about is erased.
pub fn is_reference(text: &str) -> bool {
    (1..=MAX_REFERENCE_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/#".contains(&byte))
}

/// Who looked at personal data, and who took data along, on one day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    recorded: u64,
}

impl Audit {
    /// How many events there are.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: AuditCommand) -> Result<Vec<AuditEvent>, AuditRefusal> {
        let AuditCommand::Record(event) = command;
        let (who, reason) = match &event {
            AuditEvent::PersonalDataRead(read) => {
                must_all_be("fields", &read.fields, is_printable)?;
                must_all_be("subjects", &read.subjects, is_subject)?;
                (&read.reader, &read.reason)
            }
            AuditEvent::DataExported(export) => {
                must_be("what", is_subject(&export.what))?;
                must_be("format", is_printable(&export.format))?;
                (&export.exporter, &export.reason)
            }
        };
        must_be("reason", reason.as_deref().is_none_or(is_reference))?;
        if !is_printable(who) || who.starts_with("address:") {
            return Err(AuditRefusal::InvalidReader);
        }
        Ok(vec![event])
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &AuditEvent) {
        match event {
            AuditEvent::PersonalDataRead(_) | AuditEvent::DataExported(_) => self.recorded = self.recorded.saturating_add(1),
        }
    }
}

fn must_be(field: &'static str, fits: bool) -> Result<(), AuditRefusal> {
    if fits { Ok(()) } else { Err(AuditRefusal::InvalidText { field }) }
}

fn must_all_be(field: &'static str, texts: &[String], fits: fn(&str) -> bool) -> Result<(), AuditRefusal> {
    if !(1..=MAX_AUDITED).contains(&texts.len()) {
        return Err(AuditRefusal::InvalidCount { field });
    }
    must_be(field, texts.iter().all(|text| fits(text)))
}

fn is_printable(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.chars().any(char::is_control)
}

/// A stream, or the log as a whole.
fn is_subject(text: &str) -> bool {
    text == "log" || is_printable(text) && text.parse::<StreamId>().is_ok()
}

/// Write down who looked at what.
#[derive(Debug, Clone)]
pub struct RecordAudit {
    /// The day on which it is written down, UTC.
    pub day: NaiveDate,
    /// What was looked at, and what was taken along.
    pub events: Vec<AuditEvent>,
}

impl Decision for RecordAudit {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let audit = world.get::<Audit>(self.day);
        let mut changes = Vec::with_capacity(self.events.len());
        for event in &self.events {
            changes.extend(Change::all(stream_of::<Audit>(self.day), audit.decide(AuditCommand::Record(event.clone()))?));
        }
        Ok(changes)
    }
}
