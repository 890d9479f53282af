//! What was refused at the door on one day. Nothing depends on it: it is written down, so there is little to decide.

use chrono::NaiveDate;
use event_schemas::AccessEvent;
use serde::{Deserialize, Serialize};

use crate::{Change, Decision, MAX_NAME_CHARS, Refusal, World, stream_of};

/// What can be asked of the record of a day.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessCommand {
    /// Write it down.
    Record(AccessEvent),
}

/// Why a command to the record of a day was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AccessRefusal {
    /// A caller is an actor or a keyed hash, so that no address of the network comes into the log.
    #[error("a caller is 1 to {MAX_NAME_CHARS} printable characters, and `address:` is followed by a hash")]
    InvalidCaller,
    /// A text is empty or too long.
    #[error("the {field} must have 1 to {MAX_NAME_CHARS} characters")]
    InvalidText {
        /// The part of the event.
        field: &'static str,
    },
    /// What did not happen is not written down.
    #[error("it must have happened at least once")]
    Never,
}

impl AccessRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidCaller => "INVALID_CALLER",
            Self::InvalidText { .. } => "INVALID_TEXT",
            Self::Never => "INVALID_QUANTITY",
        }
    }
}

/// What was refused at the door on one day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Access {
    recorded: u64,
}

impl Access {
    /// How many events there are.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: AccessCommand) -> Result<Vec<AccessEvent>, AccessRefusal> {
        let AccessCommand::Record(event) = command;
        let times = match &event {
            AccessEvent::AccessDenied(denied) => {
                must_be_caller(&denied.caller)?;
                must_be_text("permission", &denied.permission)?;
                must_be_text("operation", &denied.operation)?;
                denied.times
            }
            AccessEvent::LoginsFailed(failed) => failed.times,
            AccessEvent::CallerLimited(limited) => {
                must_be_caller(&limited.caller)?;
                must_be_text("limit", &limited.limit)?;
                limited.times
            }
            AccessEvent::CallerBanned(banned) => {
                must_be_caller(&banned.caller)?;
                1
            }
        };
        if times == 0 { Err(AccessRefusal::Never) } else { Ok(vec![event]) }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &AccessEvent) {
        match event {
            AccessEvent::AccessDenied(_)
            | AccessEvent::LoginsFailed(_)
            | AccessEvent::CallerLimited(_)
            | AccessEvent::CallerBanned(_) => self.recorded = self.recorded.saturating_add(1),
        }
    }
}

fn must_be_text(field: &'static str, text: &str) -> Result<(), AccessRefusal> {
    if is_printable(text) { Ok(()) } else { Err(AccessRefusal::InvalidText { field }) }
}

fn must_be_caller(caller: &str) -> Result<(), AccessRefusal> {
    let is_hash = |text: &str| (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = is_printable(caller) && caller.strip_prefix("address:").is_none_or(is_hash);
    if fits { Ok(()) } else { Err(AccessRefusal::InvalidCaller) }
}

fn is_printable(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.chars().any(char::is_control)
}

/// Write down what was refused at the door.
#[derive(Debug, Clone)]
pub struct RecordAccess {
    /// The day on which it is written down, UTC.
    pub day: NaiveDate,
    /// What was refused.
    pub events: Vec<AccessEvent>,
}

impl Decision for RecordAccess {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let access = world.get::<Access>(self.day);
        let mut changes = Vec::with_capacity(self.events.len());
        for event in &self.events {
            changes.extend(Change::all(stream_of::<Access>(self.day), access.decide(AccessCommand::Record(event.clone()))?));
        }
        Ok(changes)
    }
}
