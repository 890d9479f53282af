//! An export that is written down in the log before it is made, for whoever audits the auditors.

use serde_json::json;

use crate::verbs::Desk;

#[tokio::test]
async fn an_export_is_written_down_with_who_and_why_when_asked_and_is_not_in_itself() {
    let desk = Desk::with_three_orders().await;
    let asked = ["export", "--out", "shop.jsonl", "--to", "9", "--record-as", "ana", "--reason", "AUDIT-2026-Q1"];
    let said = desk.json(&asked);
    assert_eq!((&said["from"], &said["to"], &said["events"]), (&json!(1), &json!(9), &json!(9)));
    let shown = desk.json(&["show", "26"]);
    assert_eq!((&shown["type"], &shown["metadata"]["actor"]), (&json!("DataExported"), &json!("operator:ana")));
    let export = json!({ "exporter": "operator:ana", "what": "log", "format": "jsonl", "reason": "AUDIT-2026-Q1",
        "from_position": 1, "to_position": 9 });
    assert_eq!(shown["payload"], export);
    assert!(desk.text(&["show", "26"]).contains(
        "ana (operator) recorded that operator:ana took log from position 1 to 9 along as jsonl, because of AUDIT-2026-Q1"
    ));
    desk.text(&["export", "--out", "all.jsonl", "--record-as", "ben"]);
    let verified = desk.json(&["verify"]);
    assert_eq!((&verified["ok"], &verified["events"]), (&json!(true), &json!(27)), "{verified}");
    // It is there, so it is not made again, and that is not written down.
    assert!(desk.refusal(&["export", "--out", "all.jsonl", "--record-as", "ben"]).contains("is there already"));
    desk.refusal(&["export", "--out", "all.jsonl/all.jsonl", "--record-as", "ben"]);
    assert!(desk.refusal(&["export", "--out", "nowhere/all.jsonl", "--record-as", "ben"]).contains("there is no folder nowhere"));
    // Nobody has asked for it: nothing is written.
    desk.text(&["export", "--out", "more.jsonl"]);
    assert_eq!(desk.json(&["verify"])["events"], json!(27));
}

#[tokio::test]
async fn an_export_that_cannot_be_written_down_is_not_made() {
    let desk = Desk::with_three_orders().await;
    let words = ["export", "--out", "a.jsonl", "--record-as", "ana", "--reason", "Ana Ruiz asked"];
    assert!(desk.refusal(&words).contains("reason"));
    assert!(desk.refusal(&["export", "--out", "a.jsonl", "--record-as", " "]).contains("names nobody"));
    assert!(desk.refusal(&["export", "--out", "a.jsonl", "--reason", "AUDIT-1"]).contains("--record-as"));
    desk.text(&["export", "--out", "shop.jsonl"]);
    // An export is no log that could be written to.
    desk.refusal(&["export", "--log", "jsonl:shop.jsonl", "--out", "a.jsonl", "--record-as", "ana"]);
    assert!(!desk.path("a.jsonl").exists());
    assert_eq!(desk.json(&["verify"])["events"], json!(25));
}

#[tokio::test]
async fn a_report_takes_the_place_of_an_earlier_report_and_of_nothing_else() {
    let desk = Desk::with_three_orders().await;
    for _ in 0..2 {
        desk.text(&["verify", "--report", "report.json"]);
    }
    desk.text(&["export", "--out", "all.jsonl"]);
    std::fs::write(desk.path("heads.txt"), "what was signed").unwrap();
    for name in ["events.db", "heads.txt", "all.jsonl", "all.jsonl.manifest.json"] {
        let before = std::fs::read(desk.path(name)).unwrap();
        assert!(desk.refusal(&["verify", "--report", name]).contains("no report of verify"), "{name}");
        assert!(std::fs::read(desk.path(name)).unwrap() == before, "{name}");
    }
    assert!(desk.refusal(&["evidence-pack", "--out", "nowhere/pack.zip"]).contains("there is no folder nowhere"));
}
