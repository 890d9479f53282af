//! The page in a pack of evidence, in a real browser that reaches nothing: it finds a true pack right and a changed one wrong.

use std::{path::Path, sync::Arc};

use event_schemas::{AccountId, AdminAdded, CommerceEvent, Metadata, Proposed, RosterEvent, StreamId, Timestamp};
use event_store::{Log, MemoryLog};
use replay_tools::{Evidence, EvidencePack, evidence_pack};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::browser::Browser;

/// An account becomes an administrator.
fn admin(number: u64) -> Proposed {
    let at = Timestamp::from_timestamp_micros(1_767_225_600_123_456 + i64::try_from(number).unwrap()).unwrap();
    let account_id = AccountId(Uuid::from_u128(number.into()));
    let event = CommerceEvent::from(RosterEvent::from(AdminAdded { account_id }));
    let metadata = Metadata {
        actor: "process:first".to_owned(),
        command_id: Uuid::from_u128(1_000 + u128::from(number)),
        correlation_id: None,
        causation_id: None,
        trace_id: None,
        idempotency: None,
    };
    Proposed {
        event_id: Uuid::from_u128(2_000 + u128::from(number)),
        stream: StreamId::new("roster", "admins"),
        sequence: number,
        event_type: event.event_type().into(),
        event_version: event.version(),
        payload: event.payload().unwrap(),
        metadata: serde_json::to_string(&metadata).unwrap(),
        recorded_at: at,
        occurred_at: at,
        idempotency_scope: None,
    }
}

/// Packs of a log at 5 and at 11 events, with signed heads; gives the second, and the key.
async fn packed(folder: &Path) -> (EvidencePack, String) {
    let log = Arc::new(MemoryLog::new());
    log.append(0, (1..=5).map(admin).collect()).await.unwrap();
    let key = || replay_tools::SigningKey::new("daybook/story", [7; 32]).unwrap();
    let signed = || Evidence { key: Some(key()), ..Evidence::default() };
    let last = evidence_pack(log.clone(), &folder.join("q1.zip"), signed()).await.unwrap();
    log.append(5, (6..=11).map(admin).collect()).await.unwrap();
    let asked = Evidence { since: Some(last), ..signed() };
    evidence_pack(log, &folder.join("q2.zip"), asked).await.unwrap();
    (EvidencePack::open(&folder.join("q2.zip")).unwrap(), key().verifier().to_string())
}

const CHECKS: &str = "[...document.querySelectorAll('#checks li')].map((item) => item.className + ': ' + item.textContent)";

async fn checks(browser: &mut Browser) -> Vec<String> {
    let found = browser.evaluate(CHECKS).await;
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Gives the page a file, as a person who chooses one.
async fn choose(browser: &mut Browser, file: &Path) {
    let document = browser.send("DOM.getDocument", json!({})).await;
    let selector = json!({ "nodeId": document["root"]["nodeId"], "selector": "#pack" });
    let input = browser.send("DOM.querySelector", selector).await;
    browser.send("DOM.setFileInputFiles", json!({ "nodeId": input["nodeId"], "files": [file] })).await;
}

async fn give(browser: &mut Browser, field: &str, value: &str) {
    let change = format!(
        "{{ const field = document.getElementById({}); field.value = {}; field.dispatchEvent(new Event('change')); }}",
        json!(field),
        json!(value)
    );
    browser.evaluate(&change).await;
}

#[tokio::test]
async fn the_page_of_a_pack_checks_it_without_a_server_and_tells_a_changed_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut pack, key) = packed(folder.path()).await;
    let (page, manifest) = (String::from_utf8(pack.read("index.html").unwrap()).unwrap(), pack.manifest().unwrap());
    let path = folder.path().join("index.html");
    std::fs::write(&path, &page).unwrap();
    let Some(mut browser) = Browser::open(&format!("file://{}", path.display())).await else { return };
    browser.wait_until("document.querySelectorAll('#checks li').length >= 7").await;
    let said = checks(&mut browser).await;
    assert!(said.iter().all(|line| line.starts_with("right: ")), "{said:#?}");
    for expected in ["11 changes of rights", "begins with that of 5 events", "head of 11 events is signed", "that of the browser"]
    {
        assert!(said.iter().any(|line| line.contains(expected)), "{expected}: {said:#?}");
    }
    choose(&mut browser, &folder.path().join("q2.zip")).await;
    give(&mut browser, "key", &key).await;
    give(&mut browser, "root", &EvidencePack::open(&folder.path().join("q1.zip")).unwrap().manifest().unwrap().root).await;
    let files = manifest.files.len();
    browser.wait_until(&format!("document.querySelectorAll('#checks li').length >= {}", said.len() + files + 5)).await;
    let said = checks(&mut browser).await;
    assert!(said.iter().all(|line| line.starts_with("right: ")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("the digests of 11 events have the root")), "{said:#?}");
    assert_eq!(browser.evaluate("document.getElementById('verdict').dataset.state").await, json!("right"));
    choose(&mut browser, &folder.path().join("q1.zip")).await;
    browser.wait_until("document.getElementById('verdict').dataset.state === 'wrong'").await;
    assert_eq!(browser.objections(), [Value::Null; 0]);

    // Somebody else's name in one change of rights, and nothing else.
    let changed = page.replace("-000000000003\\\"", "-000000000004\\\"");
    assert_ne!(changed, page);
    std::fs::write(&path, changed).unwrap();
    browser.reload().await;
    browser.wait_until("document.getElementById('verdict').dataset.state === 'wrong'").await;
    let said = checks(&mut browser).await;
    let wrong: Vec<_> = said.iter().filter(|line| line.starts_with("wrong: ")).collect();
    assert!(wrong.len() == 1 && wrong[0].contains("positions 3 are not"), "{said:#?}");
}
