//! Upcasters: pure steps from an older recorded shape to the next, run oldest to newest when an event is read.
//!
//! A step may give one event, several, or none. The log itself is never rewritten.

use serde_json::Value;

/// A recorded event on its way through the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw {
    /// The event type.
    pub event_type: String,
    /// The version of the payload's shape.
    pub version: u32,
    /// The payload.
    pub payload: Value,
}

/// A payload that an upcaster could not read: it is not what its version says.
#[derive(Debug, thiserror::Error)]
#[error("`{event_type}` version {version} cannot be upcast: {reason}")]
pub struct UpcastError {
    /// The recorded type.
    pub event_type: String,
    /// The recorded version.
    pub version: u32,
    /// What is wrong with the payload.
    pub reason: &'static str,
}

type Step = fn(Value) -> Result<Vec<Raw>, &'static str>;

/// Every step there is: the type and version it reads, and what it makes of it.
const STEPS: &[(&str, u32, Step)] = &[];

/// Takes an event through every step that applies, until none does.
///
/// # Errors
/// [`UpcastError`] when a payload is not what its version says.
pub fn upcast(raw: Raw) -> Result<Vec<Raw>, UpcastError> {
    let step = STEPS.iter().find(|(event_type, version, _)| *event_type == raw.event_type && *version == raw.version);
    let Some((event_type, version, step)) = step else {
        return Ok(vec![raw]);
    };
    let next =
        step(raw.payload).map_err(|reason| UpcastError { event_type: (*event_type).to_owned(), version: *version, reason })?;
    next.into_iter().map(upcast).collect::<Result<Vec<_>, _>>().map(|events| events.into_iter().flatten().collect())
}
