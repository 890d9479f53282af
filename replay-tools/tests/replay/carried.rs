//! Events that today's code does not write: one of the future, which it cannot read, and one of the past, which means nothing
//! any more. Both are carried, byte for byte, and shown as they were written.

use event_schemas::{AccountEvent, AccountId, AccountVerified, StreamId};
use serde_json::json;

use crate::{shop, verbs::Desk};

const OF_TOMORROW: &str = r#"{"sku":"TEA-100", "hallmark":"½ ounce","by":["a","b"]}"#;

/// The log of three orders, whose last event is of a version that today's code does not know.
async fn of_tomorrow() -> Desk {
    let mut pen = shop::three_orders();
    let last = pen.last();
    (last.event_type, last.event_version, last.payload) = ("StockHallmarked".into(), 3, OF_TOMORROW.to_owned());
    Desk::with(&pen).await
}

#[tokio::test]
async fn an_event_of_the_future_is_shown_as_it_was_written() {
    let desk = of_tomorrow().await;
    let shown = desk.json(&["show", "25"]);
    assert_eq!((&shown["ok"], &shown["type"], &shown["version"]), (&json!(true), &json!("StockHallmarked"), &json!(3)));
    assert_eq!(shown["payload"], serde_json::from_str::<serde_json::Value>(OF_TOMORROW).unwrap());
    assert!(desk.text(&["show", "25"]).contains("½ ounce"));
    let stream = shown["stream"].as_str().unwrap().to_owned();
    let history = desk.json(&["history", &stream]);
    let last = history["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["position"], &last["type"]), (&json!(25), &json!("StockHallmarked")));
    assert!(desk.text(&["history", &stream]).contains("StockHallmarked"));
    assert_eq!(desk.json(&["state", &stream])["unknown"], json!(1), "the state says that it lacks something");
}

#[tokio::test]
async fn an_event_of_the_future_goes_through_an_export_and_an_import_byte_for_byte() {
    let desk = of_tomorrow().await;
    desk.text(&["export", "--out", "shop.jsonl"]);
    desk.text(&["import", "shop.jsonl", "--log", "sqlite:copy.db"]);
    let root = |said: serde_json::Value| said["root"].as_str().unwrap().to_owned();
    let whole = desk.json(&["verify"]);
    assert!(desk.text(&["verify"]).contains("carried, not understood: StockHallmarked version 3, 1 times"));
    assert_eq!(root(whole), root(desk.json(&["verify", "--log", "sqlite:copy.db"])));
    let copy = desk.path("copy.db");
    let read = "SELECT payload FROM events WHERE position = 25";
    let payload: String = rusqlite::Connection::open(copy).unwrap().query_row(read, [], |row| row.get(0)).unwrap();
    assert_eq!(payload, OF_TOMORROW);
}

#[tokio::test]
async fn an_event_that_means_nothing_any_more_is_shown_and_changes_nothing() {
    let (account_id, until) = (AccountId(shop::id(77)), r#"{"until":"2026-11-21T10:15:00Z"}"#);
    let account = StreamId::new("account", account_id);
    let verified = || AccountEvent::from(AccountVerified {}).into();
    let mut pen = shop::three_orders();
    let registered = AccountEvent::from(event_schemas::AccountRegistered { account_id });
    pen.command("process:accounts", vec![(account.clone(), registered.into())]);
    pen.command("process:accounts", vec![(account.clone(), verified())]);
    (pen.last().event_type, pen.last().payload) = ("AccountLocked".into(), until.to_owned());
    pen.command("process:accounts", vec![(account.clone(), verified())]);
    let desk = Desk::with(&pen).await;

    let verified = desk.json(&["verify"]);
    assert_eq!((&verified["ok"], &verified["events"]), (&json!(true), &json!(28)), "{verified}");
    assert_eq!(desk.json(&["show", "27"])["payload"]["until"], "2026-11-21T10:15:00Z");
    let history = desk.text(&["history", &account.to_string()]);
    assert!(history.contains("AccountLocked") && history.contains("3 events"), "{history}");
    let state = |at: &str| desk.json(&["state", &account.to_string(), "--at", at]);
    assert_eq!(state("26")["state"], state("27")["state"], "the lock changed nothing");
    assert_ne!(state("27")["state"], state("28")["state"]);
    assert_eq!(state("27")["unknown"], json!(0), "it is known, and means nothing");
    let schema = "UPDATE events SET payload = '{\"until\":7}' WHERE position = 27";
    desk.tamper(schema);
    assert!(!desk.run(&["verify"]).status.success(), "its schema and its digest still hold");
}
