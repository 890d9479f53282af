//! What operators run Daybook with: the files of `deploy/` name what there is.

use std::collections::BTreeSet;

use api::access::Role;
use event_store::{Progress, Task};
use serde_json::{Value, json};

use crate::{
    server::{Server, code},
    shop::tea,
};

fn deployed(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/");
    std::fs::read_to_string(format!("{path}{name}")).unwrap()
}

/// The names in a text that begin like those of our metrics.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("daybook_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_of_the_dashboard_is_served() {
    let server = Server::start().await;
    let served = server.client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let served = metric_names(&served);
    let dashboard: serde_json::Value = serde_json::from_str(&deployed("grafana-dashboard.json")).unwrap();
    let expressions: Vec<&str> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(expressions.len() >= 20, "{expressions:?}");
    let named = metric_names(&expressions.join(" "));
    let unknown: Vec<_> = named.difference(&served).collect();
    assert!(unknown.is_empty(), "the dashboard asks for {unknown:?}, and there is {served:?}");
}

#[test]
fn the_unit_of_systemd_is_one() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/daybook.service");
    let Ok(verified) = std::process::Command::new("systemd-analyze").args(["verify", "--man=no", unit]).output() else {
        println!("skipped: systemd-analyze is not installed here");
        return;
    };
    let complaints = String::from_utf8_lossy(&verified.stderr);
    // The binary is where an operator would install it, which is not where a test finds it.
    let ours: Vec<_> =
        complaints.lines().filter(|line| line.contains("daybook.service") && !line.contains("not executable")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[tokio::test]
async fn an_operator_sees_why_work_failed_and_has_it_done_again() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let folder = server.folder;
    server.running.shutdown().await;
    let log = event_store::open(&format!("sqlite:{}", folder.path().join("events.db").display())).await.unwrap();
    let letter = Task {
        process: "gateway".to_owned(),
        key: "retry:1".to_owned(),
        position: 1,
        due_at: None,
        attempts: 8,
        last_error: Some("the gateway was away".to_owned()),
    };
    let put = Progress { process: letter.process.clone(), put: vec![letter], ..Progress::default() };
    log.save_progress(put).await.unwrap();
    drop(log);

    let server = Server::reopen(folder).await;
    let report: Value = server.client.get(server.url("/health/ready")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&report["ready"], &report["warnings"][0]["code"]), (&json!(true), &json!("DEAD_LETTERS")), "{report}");
    let list = "{ deadLetters { process key eventPosition attempts reason } }";
    let answer = server.run(Some(Role::Admin), list, json!({})).await;
    let seen = json!({
        "process": "gateway", "key": "retry:1", "eventPosition": 1, "attempts": 8, "reason": "the gateway was away"
    });
    assert_eq!(answer["data"]["deadLetters"], json!([seen]), "{answer}");

    let one = json!({ "process": "gateway", "key": "retry:1" });
    let retry = "mutation($i: DeadLetterRetryInput!) { deadLetterRetry(input: $i) { deadLetter { key } userErrors { code } } }";
    assert_eq!(code(&server.run(Some(Role::Merchant), retry, json!({ "i": one })).await), "FORBIDDEN");
    let none = server.run(Some(Role::Admin), retry, json!({ "i": { "process": "gateway", "key": "retry:2" } })).await;
    assert_eq!(none["data"]["deadLetterRetry"]["userErrors"][0]["code"], "DEAD_LETTER_NOT_FOUND", "{none}");
    let again = server.run(Some(Role::Admin), retry, json!({ "i": one })).await;
    assert_eq!(again["data"]["deadLetterRetry"]["deadLetter"]["key"], "retry:1", "{again}");
    // The event asked for nothing that is still to be done, so the work is soon off the list.
    assert_eq!(server.run(Some(Role::Admin), list, json!({})).await["data"]["deadLetters"], json!([]));
}

#[tokio::test]
async fn a_server_in_order_reports_no_trouble() {
    let server = Server::start().await;
    let report: Value = server.client.get(server.url("/health/ready")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&report["ready"], &report["problems"], &report["warnings"]), (&json!(true), &json!([]), &json!([])));
    assert_eq!(report["clock_offset_seconds"].as_f64().map(|seconds| seconds.abs() < 1.0), Some(true), "{report}");
}
