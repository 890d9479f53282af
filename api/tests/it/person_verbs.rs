//! `daybook person`: what whoever protects data does on the machine, while nobody serves the shop.

use std::{path::Path, process::Output};

use event_schemas::Recorded;
use serde_json::Value;

use crate::{
    server::Server,
    shop::{paid_order, tea},
    vault_verbs::{daybook, said},
};

/// What a verb prints when it succeeds.
fn done(folder: &Path, args: &[&str]) -> String {
    let output = person(folder, args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it is refused.
fn refused(folder: &Path, args: &[&str]) -> String {
    let output = person(folder, args);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{args:?}: {}", said(&output));
    said(&output)
}

fn person(folder: &Path, args: &[&str]) -> Output {
    daybook(folder, &[&["person"], args].concat())
}

/// A shop that was closed, with so many guests' orders under one address, by their ids in the API.
async fn closed_shop(orders: usize) -> (tempfile::TempDir, Vec<String>) {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let mut ids = Vec::new();
    for _ in 0..orders {
        ids.push(paid_order(&server, "TEA-100", 1).await["order"]["id"].as_str().unwrap().to_owned());
    }
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    (folder, ids)
}

async fn recorded(folder: &Path, event_type: &str) -> Vec<Recorded> {
    let log = event_store::open(&format!("sqlite:{}", folder.join("events.db").display())).await.unwrap();
    let all = log.read(0, 10_000).await.unwrap();
    all.into_iter().filter(|recorded| recorded.event.event_type == event_type).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_handed_out_once_into_a_file_of_its_own_and_it_is_written_down() {
    let (shop, orders) = closed_shop(1).await;
    let (folder, file) = (shop.path(), shop.path().join("ana.json"));
    let export = ["export", "--order", &orders[0], "--as", "ben", "--reason", "CASE-9", "--out", file.to_str().unwrap()];
    done(folder, &export);
    let text = std::fs::read_to_string(&file).unwrap();
    let copy: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(copy["persons"].as_array().map(Vec::len), Some(1), "{copy}");
    assert!(text.contains("ana@example.com") && text.contains("\"OrderPlaced\""), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(refused(folder, &export).contains("is there already"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "what is there stays");
    let nowhere = folder.join("nowhere/ana.json");
    let failed = ["export", "--order", &orders[0], "--out", nowhere.to_str().unwrap()];
    assert!(refused(folder, &failed).contains("cannot be written"));
    let exports = recorded(folder, "DataExported").await;
    assert_eq!(exports.len(), 1, "what was not handed out is not written down as if it were");
    let told = &exports[0].event.payload;
    assert!(told.contains("admin:ben") && told.contains("CASE-9"), "{told}");
    let why = ["export", "--order", &orders[0], "--reason", "Ana asked"];
    assert!(refused(folder, &why).contains("1 to 64 letters"));
    // The same by the order's id in the log, and to the terminal.
    let stream = copy["streams"].as_array().unwrap().iter().find_map(|stream| stream["stream"].as_str()?.strip_prefix("order/"));
    let named = format!("order/{}", stream.unwrap());
    let shown: Value = serde_json::from_str(&done(folder, &["export", "--order", &named])).unwrap();
    assert_eq!(shown["persons"], copy["persons"]);
    let wrong = person(folder, &["export", "--order", "035H-44BN-HQ97"]);
    assert!(wrong.status.code() == Some(2) && said(&wrong).contains("is no id of an order"), "{}", said(&wrong));
    assert_eq!(recorded(folder, "DataExported").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_held_let_go_and_erased_and_others_under_the_address_are_told() {
    let (shop, orders) = closed_shop(2).await;
    let (folder, order) = (shop.path(), orders[0].as_str());
    done(folder, &["hold", "--order", order, "--name", "case 7", "--reason", "a lawsuit"]);
    let erase = ["erase", "--order", order, "--reason", "case 8", "--json"];
    assert!(refused(folder, &erase).contains("case 7"));
    done(folder, &["release", "--order", order, "--name", "case 7"]);
    let erased: Value = serde_json::from_str(&done(folder, &erase)).unwrap();
    assert_eq!((&erased["erased"], &erased["hasUnsealed"]), (&Value::Bool(true), &Value::Bool(false)), "{erased}");
    assert_eq!(erased["keptUnderSameAddress"].as_array().map(Vec::len), Some(1), "{erased}");
    let rest = done(folder, &["erase", "--email", "ANA@example.com ", "--reason", "case 8"]);
    assert!(rest.starts_with("1 key destroyed: nothing that was sealed"), "{rest}");
    assert!(refused(folder, &["export", "--email", "ana@example.com"]).contains("nothing is known about such a person"));
    let copy = done(folder, &["export", "--order", order]);
    assert!(copy.contains("\"OrderPlaced\"") && !copy.contains("ana@example.com"), "{copy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_two_have_to_agree_one_asks_and_another_approves() {
    let (shop, orders) = closed_shop(1).await;
    let (folder, order) = (shop.path(), orders[0].as_str());
    let asked = done(folder, &["erase", "--order", order, "--reason", "case 9", "--as", "ana", "--erasure-approval"]);
    assert!(asked.starts_with("recorded for 1 key: it is erased once somebody else approves"), "{asked}");
    assert!(refused(folder, &["approve", "--order", order, "--as", "ana"]).contains("somebody else"));
    assert!(done(folder, &["export", "--order", order]).contains("ana@example.com"));
    let approved = done(folder, &["approve", "--order", order, "--as", "ben"]);
    assert!(approved.starts_with("1 key destroyed"), "{approved}");
    assert!(!done(folder, &["export", "--order", order]).contains("ana@example.com"));
}
