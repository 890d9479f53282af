//! The steps there are, and an example of each kind of step, which docs/events.md shows.

use serde_json::json;

use super::*;
use crate::{AdjustmentReason, CartEvent, CommerceEvent, DecodeError, StockEvent};

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

#[test]
fn personal_data_of_before_it_was_sealed_reads_and_is_marked_as_plain() {
    let payload = json!({ "email": "ana@example.com", "country": "PT", "expires_at": "2026-03-15T09:24:48Z" });
    let events = CommerceEvent::decode("CartDetailsSet", 1, &payload.to_string()).unwrap();
    let [CommerceEvent::Cart(CartEvent::CartDetailsSet(event))] = events.as_slice() else { panic!("{events:?}") };
    let email = event.email.as_ref().unwrap();
    assert_eq!((email.plain().as_deref(), email.is_sealed()), (Some("ana@example.com"), false));
    assert_eq!((event.shipping_address.is_none(), event.country.as_ref().unwrap().as_str()), (true, "PT"));
}

#[test]
fn an_event_that_was_declared_and_means_nothing_any_more_reads_as_none() {
    let until = json!({ "until": "2026-03-01T09:45:00Z" }).to_string();
    assert_eq!(CommerceEvent::decode("AccountLocked", 1, &until).unwrap(), []);
    let of_tomorrow = CommerceEvent::decode("AccountLocked", 2, &until).unwrap_err();
    assert!(matches!(of_tomorrow, DecodeError::Unknown { version: 2, .. }), "{of_tomorrow}");
}

/// The steps of a shop whose price lists were one event.
const PRICE_LISTS: &[Entry] = &[("PriceList", 1, price_list_1), ("Price", 1, price_1)];

// example: one to many
fn price_list_1(payload: Value) -> Result<Vec<Raw>, &'static str> {
    let prices = payload["prices"].as_array().ok_or("it has no prices")?;
    Ok(prices.iter().map(|minor| raw("Price", 1, json!({ "minor": minor }))).collect())
}

/// What a step gives goes through the later steps: these prices were of one currency, and were renamed.
fn price_1(payload: Value) -> Result<Vec<Raw>, &'static str> {
    Ok(vec![raw("PriceSet", 2, json!({ "minor": payload["minor"], "currency": "EUR" }))])
}

#[test]
fn one_event_becomes_many_each_taken_through_the_later_steps_in_order() {
    let events = upcast_through(PRICE_LISTS, raw("PriceList", 1, json!({ "prices": [450, 990] }))).unwrap();
    let set = |minor: u32| raw("PriceSet", 2, json!({ "minor": minor, "currency": "EUR" }));
    assert_eq!(events, [set(450), set(990)]);
}
// end of example

#[test]
fn a_list_of_nothing_becomes_none() {
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

#[test]
fn every_step_reads_a_version_that_was_replaced_and_every_replaced_version_has_its_step() {
    let read: std::collections::BTreeSet<_> = STEPS.iter().map(|(event_type, version, _)| (*event_type, *version)).collect();
    let replaced = crate::replaced_schemas().iter().map(|(event_type, version, _)| (*event_type, *version)).collect();
    assert_eq!(read, replaced);
}
