//! The rules of a batch that hold in every adapter, checked before anything is written.

use std::collections::HashMap;

use chrono::Datelike as _;
use event_schemas::{Proposed, Sequence, StreamId, to_micros};

use crate::{AppendError, Head};

/// Checks what can be told from the batch and the head alone: times do not go back, and each stream counts on by one.
///
/// Gives the link of each stream to what is stored: the stream and its last stored sequence, 0 for a new stream. Whether
/// that is indeed where the stream ends is the adapter's part to check.
pub(crate) fn check_batch<'a>(
    head: &Head,
    batch: impl IntoIterator<Item = &'a Proposed>,
) -> Result<Vec<(&'a StreamId, Sequence)>, AppendError> {
    let mut links = Vec::new();
    let mut ends: HashMap<&StreamId, Sequence> = HashMap::new();
    let mut latest = head.recorded_at;
    for event in batch {
        let invalid = |rule: String| Err(AppendError::Invalid(format!("{} {}: {rule}", event.stream, event.sequence)));
        if latest.is_some_and(|latest| event.recorded_at < latest) {
            return invalid("it was recorded before the event in front of it".to_owned());
        }
        latest = Some(event.recorded_at);
        if [event.recorded_at, event.occurred_at].iter().any(|moment| !(0..=9999).contains(&moment.year())) {
            return invalid("its year is not between 0 and 9999".to_owned());
        }
        match ends.insert(&event.stream, event.sequence) {
            None if event.sequence == 0 => return invalid("sequences start at 1".to_owned()),
            None => links.push((&event.stream, event.sequence - 1)),
            Some(end) if Some(event.sequence) != end.checked_add(1) => return invalid(format!("it follows sequence {end}")),
            Some(_) => {}
        }
    }
    Ok(links)
}

/// Brings an event's moments to the resolution that is stored.
pub(crate) fn stored(event: Proposed) -> Proposed {
    Proposed { recorded_at: to_micros(event.recorded_at), occurred_at: to_micros(event.occurred_at), ..event }
}

/// The refusal of a stream that does not go on where it ends.
pub(crate) fn broken_link(stream: &StreamId, after: Sequence) -> AppendError {
    AppendError::Invalid(format!("{stream} {}: the stream does not end at sequence {after}", after.saturating_add(1)))
}

/// The refusal of an idempotency scope that the log or the batch already has.
pub(crate) fn repeated_scope(event: &Proposed) -> AppendError {
    let scope = event.idempotency_scope.as_deref().unwrap_or_default();
    AppendError::Invalid(format!("{} {}: idempotency scope `{scope}` was used before", event.stream, event.sequence))
}
