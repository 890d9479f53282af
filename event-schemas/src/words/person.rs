//! Persons in words.

use crate::PersonEvent;

/// What happened to a person, as the end of a sentence.
pub(super) fn person(event: &PersonEvent, of: &str) -> String {
    match event {
        PersonEvent::PersonErasureRequested(event) => format!("asked that {of} be erased: {}", event.reason),
        PersonEvent::PersonErasureApproved(_) => format!("agreed that {of} be erased"),
        PersonEvent::PersonErasureRejected(event) => format!("turned down that {of} be erased: {}", event.reason),
        PersonEvent::PersonErased(_) => format!("erased {of}"),
        PersonEvent::LegalHoldPlaced(event) => format!("placed the legal hold {} on {of}: {}", event.name, event.reason),
        PersonEvent::LegalHoldLifted(event) => format!("lifted the legal hold {} from {of}", event.name),
    }
}
