//! What events say: each has a sentence, none of them says anything personal, and every sealed text of them is found.

use std::fs;

use event_schemas::{
    CommerceEvent, Proposed, Recorded, StreamId, Timestamp,
    words::{doer, sentence, sentence_by},
};
use uuid::Uuid;

fn record(stream: &str, event_type: &str, version: u32, payload: &str, actor: &str) -> Recorded {
    let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
    let stream: StreamId = stream.parse().unwrap();
    let event = Proposed {
        event_id: Uuid::nil(),
        stream,
        sequence: 1,
        event_type: event_type.to_owned().into(),
        event_version: version,
        payload: payload.to_owned(),
        metadata: format!(r#"{{"actor":"{actor}","command_id":"{}"}}"#, Uuid::nil()),
        recorded_at: at,
        occurred_at: at,
        idempotency_scope: None,
    };
    Recorded::at(1, event)
}

/// Every event type has a sample, so every event type has a sentence, and none of them is a dump of its fields.
#[test]
fn every_event_ever_written_reads_as_a_sentence_without_personal_data() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut read = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (event_type, version) = name.split_once(".v").unwrap();
        let payload = fs::read_to_string(&path).unwrap();
        let record = record("thing/THIS-ONE", event_type, version.parse().unwrap(), &payload, "support:ana");
        record.decode().unwrap();
        let words = sentence(&record);
        assert!(words.starts_with("ana (support) ") && !words.contains(['{', '}', '\n']), "{event_type}: {words}");
        let leaks = ["Some(", "@example", "Marques", "sealed:", "plain:"];
        assert!(!leaks.iter().any(|leak| words.contains(leak)), "{event_type}: {words}");
        read += 1;
    }
    assert!(read > 50, "{read} samples");
}

#[test]
fn a_sentence_says_who_did_what_to_what_and_why() {
    let payload = r#"{"refund_id":"00000000-0000-0000-0000-000000000009","amount":{"minor":1200,"currency":"EUR"},
                      "reason":"damaged","gateway":"sandbox"}"#;
    let refund = record("payment/7", "PaymentRefundRequested", 1, payload, "support:0197");
    let expected = "refunded 12.00 EUR of payment 7, because ‘damaged’ (refund 00000000-0000-0000-0000-000000000009)";
    assert_eq!(sentence(&refund), format!("0197 (support) {expected}"));
    assert_eq!(sentence_by(&doer("support:0197", Some("Ana")), &refund), format!("Ana (support) {expected}"));
    let payload = r#"{"sku":"TEA-100","location":"main","quantity":50,"reference":"PO-17"}"#;
    let received = record("stock/TEA-100@main", "StockReceived", 1, payload, "merchant:ana");
    assert_eq!(sentence(&received), "ana (merchant) took in 50 units of TEA-100 at main (PO-17)");
}

#[test]
fn an_event_of_a_newer_version_is_named_and_one_without_metadata_is_somebodys() {
    let newer = record("order/1", "OrderGiftWrapped", 3, "{}", "customer");
    assert_eq!(sentence(&newer), "event type `OrderGiftWrapped` version 3 is not known to this version of Daybook");
    let mut anonymous = record("order/1", "OrderExpired", 1, "{}", "customer");
    anonymous.event.metadata = "?".to_owned();
    assert_eq!(sentence(&anonymous), "somebody let order 1 expire, because it was not paid in time");
}

#[test]
fn whoever_did_it_is_named_as_people_would() {
    let names = [
        ("customer", "a shopper"),
        ("shopper", "a shopper"),
        ("customer:c-1", "customer c-1"),
        ("process:orders", "the process orders"),
        ("import:olist", "the import of olist"),
        ("api-key:k-1", "API key k-1"),
        ("address:00ff", "a stranger"),
        ("merchant:ana", "ana (merchant)"),
        ("admin", "somebody (admin)"),
        ("", "somebody"),
    ];
    for (actor, expected) in names {
        assert_eq!(doer(actor, None), expected);
    }
    assert_eq!(doer("customer:c-1", Some("Ana")), "customer c-1");
}

#[test]
fn every_sealed_text_of_every_event_is_found() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    for event in CommerceEvent::schemas() {
        let sealed = event.schema.to_string().matches("^sealed:1:").count();
        let file = format!("{folder}/{}.v{}.json", event.event_type, event.version);
        let sample = fs::read_to_string(file).unwrap();
        let mut events = CommerceEvent::decode(event.event_type, event.version, &sample).unwrap();
        let found: usize = events.iter_mut().map(|event| event.personal_mut().len()).sum();
        assert_eq!(found, sealed, "{}: its sample has every text that it may have", event.event_type);
    }
}
