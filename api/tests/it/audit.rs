//! Who audits the auditors: what staff are shown of people, and the log itself, is written down with who and why.

use std::time::{Duration, Instant};

use api::access::Role;
use serde_json::{Value, json};

use crate::{
    server::{Server, code},
    shop::{paid_order, tea},
};

const ORDERS: &str = "{ orders(first: 5) { nodes { id number email shippingAddress { city } } } }";
const ENTRIES: &str =
    "query($f: AuditFilter) { auditLog(first: 50, filter: $f) { nodes { position kind reader subject fields reason } } }";

impl Server {
    async fn entries(&self, filter: Value) -> Vec<Value> {
        let answer = self.run(Some(Role::Auditor), ENTRIES, json!({ "f": filter })).await;
        answer["data"]["auditLog"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// The entries of a reader, when there are some: they are written within a second or two.
    pub(crate) async fn entries_of(&self, reader: &str, at_least: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let entries = self.entries(json!({ "reader": reader })).await;
            if entries.len() >= at_least {
                return entries;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{entries:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn what_staff_are_shown_of_a_buyer_is_written_down_with_who_and_why_and_once_a_minute() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let order = paid_order(&server, "TEA-100", 1).await["order"]["id"].clone();
    // Whoever bought sees what is their own.
    let own = server.run(None, "query($id: ID!) { order(id: $id) { email } }", json!({ "id": order })).await;
    assert_eq!(own["data"]["order"]["email"], "ana@example.com", "{own}");
    for _ in 0..3 {
        let seen = server.send(Some(Role::Support), ORDERS, json!({}), &[("daybook-reason", "TICKET-4711")]).await;
        assert_eq!(seen["data"]["orders"]["nodes"][0]["shippingAddress"]["city"], "Madrid", "{seen}");
    }
    let entries = server.entries_of("support", 1).await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(entry["fields"], json!(["email", "shippingAddress"]));
    assert_eq!((&entry["kind"], &entry["reason"]), (&json!("READ"), &json!("TICKET-4711")));
    let subject = entry["subject"].as_str().unwrap();
    assert!(subject.starts_with("person/"), "{subject}");
    // Other figures of the order are not about a person, and another reason is another look.
    server.run(Some(Role::Finance), "{ orders(first: 5) { nodes { number total { gross { amount } } } } }", json!({})).await;
    server.send(Some(Role::Support), ORDERS, json!({}), &[]).await;
    let again = server.entries_of("support", 2).await;
    assert_eq!((again.len(), &again[0]["reason"]), (2, &Value::Null));
    let of_person = server.entries(json!({ "subject": subject, "kind": "READ" })).await;
    assert_eq!(of_person, again);
    assert!(server.entries(json!({ "reader": "finance" })).await.is_empty());
    // The history of the order opens what is about its buyer, too.
    let history = "query($id: ID!) { order(id: $id) { history(first: 1) { nodes { type change } } } }";
    let seen = server.run(Some(Role::Analyst), history, json!({ "id": order })).await;
    assert_eq!(seen["data"]["order"]["history"]["nodes"][0]["change"]["email"], "ana@example.com", "{seen}");
    let looked = server.entries_of("analyst", 1).await;
    assert_eq!((&looked[0]["fields"], &looked[0]["subject"]), (&json!(["change"]), &json!(subject)));
    assert!(server.entries(json!({ "reader": "customer" })).await.is_empty(), "what is one's own is not written down");
}

#[tokio::test]
async fn a_reason_is_a_reference_and_only_auditors_see_who_looked() {
    let server = Server::start().await;
    for words in ["Ana Ruiz called", "ana@example.com", ""] {
        let refused = server.send(Some(Role::Support), ORDERS, json!({}), &[("daybook-reason", words)]).await;
        assert_eq!(code(&refused), "BAD_REQUEST", "{words}: {refused}");
    }
    for role in [Role::Support, Role::Finance, Role::Analyst] {
        assert_eq!(code(&server.run(Some(role), ENTRIES, json!({})).await), "FORBIDDEN");
    }
}

#[tokio::test]
async fn who_reads_the_log_itself_is_written_down_too_also_when_the_shop_closes_at_once() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let reason = [("daybook-reason", "AUDIT-2026-Q1")];
    server.send(Some(Role::Auditor), "{ events(first: 3) { nodes { type change } } }", json!({}), &reason).await;
    let stream = "{ stream(id: \"stock/TEA-100@main\", first: 3) { nodes { type } } }";
    server.send(Some(Role::Auditor), stream, json!({}), &reason).await;
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    let server = Server::reopen(folder).await;
    let entries = server.entries_of("auditor", 2).await;
    let mut subjects: Vec<_> = entries.iter().map(|entry| entry["subject"].as_str().unwrap()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["log", "stock/TEA-100@main"]);
    assert!(entries.iter().all(|entry| entry["reason"] == "AUDIT-2026-Q1"), "{entries:?}");
}
