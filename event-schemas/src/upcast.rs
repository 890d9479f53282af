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

/// Reads the payload of one version and gives what it is in the next: each event with its type and version.
type Step = fn(Value) -> Result<Vec<Raw>, &'static str>;

/// The type and the version that a step reads, and the step.
type Entry = (&'static str, u32, Step);

/// Every step there is.
const STEPS: &[Entry] = &[
    ("StockAdjusted", 1, stock_adjusted_1),
    ("AccountLocked", 1, account_locked_1),
    ("CartDetailsSet", 1, |payload| sealed_since_2("CartDetailsSet", &["email", "shipping_address", "billing_address"], payload)),
    ("OrderPlaced", 1, |payload| sealed_since_2("OrderPlaced", &["email", "shipping_address", "billing_address"], payload)),
    ("OrderNoteAdded", 1, |payload| sealed_since_2("OrderNoteAdded", &["note"], payload)),
    ("ReviewSubmitted", 1, |payload| sealed_since_2("ReviewSubmitted", &["title", "comment"], payload)),
    ("AccountDisabled", 1, |payload| sealed_since_2("AccountDisabled", &["reason"], payload)),
];

/// Takes an event through every step that applies, until none does.
///
/// # Errors
/// [`UpcastError`] when a payload is not what its version says.
pub fn upcast(raw: Raw) -> Result<Vec<Raw>, UpcastError> {
    upcast_through(STEPS, raw)
}

fn upcast_through(steps: &[Entry], raw: Raw) -> Result<Vec<Raw>, UpcastError> {
    let applies = |(event_type, version, _): &&Entry| *event_type == raw.event_type && *version == raw.version;
    let Some((event_type, version, step)) = steps.iter().find(applies) else {
        return Ok(vec![raw]);
    };
    let next =
        step(raw.payload).map_err(|reason| UpcastError { event_type: (*event_type).to_owned(), version: *version, reason })?;
    let mut events = Vec::with_capacity(next.len());
    for event in next {
        events.extend(upcast_through(steps, event)?);
    }
    Ok(events)
}

// example: one to one
/// Version 1 had one free text for the reason. A text that is one of today's reasons becomes it; any other is kept as
/// the note of reason `other`, so that no word of what people wrote is lost.
fn stock_adjusted_1(mut payload: Value) -> Result<Vec<Raw>, &'static str> {
    let fields = payload.as_object_mut().ok_or("it is not an object")?;
    let Some(Value::String(text)) = fields.remove("reason") else {
        return Err("its reason is not a text");
    };
    let word = text.trim().to_lowercase();
    if matches!(word.as_str(), "damaged" | "lost" | "found" | "theft" | "correction") {
        fields.insert("reason".to_owned(), word.into());
    } else {
        fields.insert("reason".to_owned(), "other".into());
        fields.insert("note".to_owned(), text.into());
    }
    Ok(vec![Raw { event_type: "StockAdjusted".to_owned(), version: 2, payload }])
}
// end of example

// example: one to none
/// A lock ends by itself and is kept with the secrets of the account. The event of it was declared, and means nothing any more.
fn account_locked_1(_: Value) -> Result<Vec<Raw>, &'static str> {
    Ok(Vec::new())
}
// end of example

/// Version 1 held personal data as it was typed. It cannot be sealed after the fact, so it is marked as what it is; only the
/// door reads it.
fn sealed_since_2(event_type: &str, personal: &[&str], mut payload: Value) -> Result<Vec<Raw>, &'static str> {
    let fields = payload.as_object_mut().ok_or("it is not an object")?;
    for name in personal {
        if let Some(value) = fields.get_mut(*name).filter(|value| !value.is_null()) {
            *value = crate::personal::plain_form(value);
        }
    }
    Ok(vec![Raw { event_type: event_type.to_owned(), version: 2, payload }])
}

#[cfg(test)]
mod tests;
