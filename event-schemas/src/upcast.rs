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
const STEPS: &[Entry] = &[("StockAdjusted", 1, stock_adjusted_1)];

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{AdjustmentReason, CommerceEvent, DecodeError, StockEvent};

    fn raw(event_type: &str, version: u32, payload: Value) -> Raw {
        Raw { event_type: event_type.to_owned(), version, payload }
    }

    fn adjusted_for(reason: &str) -> (AdjustmentReason, Option<String>) {
        let payload = json!({ "sku": "MUG-BLUE", "location": "main", "delta": -2, "reason": reason }).to_string();
        let events = CommerceEvent::decode("StockAdjusted", 1, &payload).unwrap();
        let [CommerceEvent::Stock(StockEvent::StockAdjusted(event))] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((event.sku.as_str(), event.location.as_str(), event.delta), ("MUG-BLUE", "main", -2));
        (event.reason, event.note.clone())
    }

    #[test]
    fn an_adjustment_of_version_1_reads_as_one_of_today() {
        assert_eq!(adjusted_for("Damaged "), (AdjustmentReason::Damaged, None));
        assert_eq!(adjusted_for("theft"), (AdjustmentReason::Theft, None));
        let note = "two mugs fell off the shelf";
        assert_eq!(adjusted_for(note), (AdjustmentReason::Other, Some(note.to_owned())));
    }

    #[test]
    fn a_payload_that_is_not_of_its_version_is_refused_by_name() {
        for payload in ["[]", "{}", r#"{ "reason": 7 }"#] {
            let error = CommerceEvent::decode("StockAdjusted", 1, payload).unwrap_err();
            assert!(matches!(error, DecodeError::Upcast(UpcastError { version: 1, .. })), "{error}");
        }
    }

    /// A price list of version 1 named its prices in one event, then each price became an event of its own, then the
    /// event was renamed.
    const PRICE_LISTS: &[Entry] = &[
        ("PriceList", 1, |payload| {
            let prices = payload["prices"].as_array().ok_or("it has no prices")?;
            Ok(prices.iter().map(|price| raw("Price", 1, json!({ "minor": price }))).collect())
        }),
        ("Price", 1, |payload| Ok(vec![raw("PriceSet", 2, json!({ "minor": payload["minor"], "currency": "EUR" }))])),
        ("PriceListPrinted", 1, |_| Ok(Vec::new())),
    ];

    #[test]
    fn one_event_can_become_many_each_taken_through_the_later_steps_in_order() {
        let events = upcast_through(PRICE_LISTS, raw("PriceList", 1, json!({ "prices": [450, 990] }))).unwrap();
        let set = |minor: u32| raw("PriceSet", 2, json!({ "minor": minor, "currency": "EUR" }));
        assert_eq!(events, [set(450), set(990)]);
    }

    #[test]
    fn an_event_that_means_nothing_any_more_becomes_none() {
        assert_eq!(upcast_through(PRICE_LISTS, raw("PriceListPrinted", 1, json!({}))).unwrap(), []);
        assert_eq!(upcast_through(PRICE_LISTS, raw("PriceList", 1, json!({ "prices": [] }))).unwrap(), []);
    }

    #[test]
    fn an_event_without_a_step_is_left_as_it_is() {
        let unknown = raw("PriceList", 9, json!({ "from": "the future" }));
        assert_eq!(upcast_through(PRICE_LISTS, unknown.clone()).unwrap(), [unknown]);
    }

    #[test]
    fn a_failing_step_names_the_event_that_it_read() {
        let error = upcast_through(PRICE_LISTS, raw("PriceList", 1, json!({}))).unwrap_err();
        assert_eq!(error.to_string(), "`PriceList` version 1 cannot be upcast: it has no prices");
    }

    #[test]
    fn no_two_steps_read_the_same_version() {
        let mut read: Vec<_> = STEPS.iter().map(|(event_type, version, _)| (event_type, version)).collect();
        read.sort();
        read.dedup();
        assert_eq!(read.len(), STEPS.len());
    }
}
