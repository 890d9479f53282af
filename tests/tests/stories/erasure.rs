//! Somebody buys and is erased: the log still verifies, begins with exactly what it was, and the views fold as before; and in no
//! file of the shop is anything to be read about them, nor in any copy that was made before.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use api::{RunningServer, ServeConfig, access::Role};
use event_store::{Log, Moment};
use replay_tools::{Head, verify};
use serde_json::{Value, json};

use crate::{
    process::binary,
    shopper::{ADD, CHECKOUT, CONFIRM, CREATE, SKUS, Shopper, UPDATE, details, stock_the_shelves},
};

const ERASE: &str = "mutation($input: PersonEraseInput!) {
    done: personErase(input: $input) { person { state } position userErrors { code message } } }";

async fn ask(url: &str, token: &str, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables });
    let request = reqwest::Client::new().post(format!("{url}/graphql")).bearer_auth(token).json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].clone()
}

/// A served shop in which Ben has bought something. Gives the ids of his order and its payment.
async fn sold(folder: &Path) -> (RunningServer, Value) {
    let events = format!("sqlite:{}", folder.join("events.db").display());
    stock_the_shelves(event_store::open(&events).await.unwrap(), &BTreeMap::from([(SKUS[0].to_owned(), 10)])).await;
    let server = api::start(ServeConfig::new(folder.to_owned(), "127.0.0.1:0".parse().unwrap())).await.unwrap();
    let shopper = Shopper::new(&server.url());
    let created = shopper.ask(CREATE, &json!({ "currency": "EUR" })).await.unwrap();
    let cart = created["cart"]["id"].clone();
    shopper.ask(ADD, &json!({ "cartId": cart, "lines": [{ "sku": SKUS[0], "quantity": 2 }] })).await.unwrap();
    shopper.ask(UPDATE, &details(&cart)).await.unwrap();
    let placed = shopper.ask(CHECKOUT, &json!({ "cartId": cart })).await.unwrap();
    let (order, payment) = (placed["order"]["id"].clone(), placed["payment"]["id"].clone());
    shopper.ask(CONFIRM, &json!({ "paymentId": payment, "token": "sandbox_ok" })).await.unwrap();
    (server, order)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_the_log_verifies_and_begins_with_what_it_was_and_the_figures_stay() {
    let folder = tempfile::tempdir().unwrap();
    let events = format!("sqlite:{}", folder.path().join("events.db").display());
    let (server, order) = sold(folder.path()).await;
    let url = server.url();
    let log: Arc<dyn Log> = event_store::open_read_only(&events).await.unwrap();
    let token = server.token(Role::Admin, Some("ana"), Duration::from_secs(600)).unwrap();
    let figures = "{ sales { orders gross { amountMinor } } \
                   trialBalance { currency accounts { account debit { amountMinor } credit { amountMinor } } } }";
    let books = async || ask(&url, &token, figures, json!({})).await;
    let (figures_before, before) = (books().await, verify(log.clone(), 1, None, None).await.unwrap());
    assert!(before.ok, "{before}");
    let known = Head { to: before.to, root: before.root.clone().unwrap() };

    let input = json!({ "person": { "orderId": order }, "reason": "case 7" });
    let erased = ask(&url, &token, ERASE, json!({ "input": input })).await;
    assert_eq!(erased["done"]["person"]["state"], "ERASED", "{erased}");

    let after = verify(log.clone(), 1, None, Some(known.clone())).await.unwrap();
    assert!(after.ok && after.to > before.to, "{after}");
    let again = verify(log, 1, Some(known.to), None).await.unwrap();
    assert_eq!(again.root, Some(known.root), "the root of what was there is the same");
    assert_eq!(books().await, figures_before);
    server.shutdown().await;
}

/// What a verb of `daybook-replay` prints, which must succeed, run in the shop's folder.
fn replay(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new(binary("daybook-replay"));
    let output = command.current_dir(folder).env("DAYBOOK_LOG", "sqlite:events.db").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_proven_before_an_erasure_is_proven_after_it_and_can_be_proven_again() {
    let folder = tempfile::tempdir().unwrap();
    let (server, order) = sold(folder.path()).await;
    let log = event_store::open_read_only(&format!("sqlite:{}", folder.path().join("events.db").display())).await.unwrap();
    let events = log.read(0, 1_000).await.unwrap();
    let placed = events.iter().find(|record| &*record.event.event_type == "OrderPlaced").unwrap();
    assert!(!placed.sealed_texts().unwrap().is_empty(), "the buyer is in it, sealed");
    let position = placed.position.to_string();

    let replay = |args: &[&str]| replay(folder.path(), args);
    let head = |file: &str, to: &[&str]| {
        let head = replay(&[&["head", "--key", "notary.key"], to].concat());
        std::fs::write(folder.path().join(file), head).unwrap();
    };
    let verifier = replay(&["notary-key", "generate", "--name", "daybook/tea", "--out", "notary.key"]);
    head("old.txt", &["--to", &position]);
    head("new.txt", &[]);
    replay(&["prove", &position, "--head", "new.txt", "--out", "proof.json"]);
    replay(&["prove-consistency", "old.txt", "new.txt", "--out", "grown.json"]);

    let token = server.token(Role::Admin, Some("ana"), Duration::from_secs(600)).unwrap();
    let input = json!({ "person": { "orderId": order }, "reason": "case 7" });
    let erased = ask(&server.url(), &token, ERASE, json!({ "input": input })).await;
    assert_eq!(erased["done"]["person"]["state"], "ERASED", "{erased}");
    server.shutdown().await;

    let key = ["--verifier-key", verifier.trim()];
    let check = |verb: &str, file: &str| replay(&[&[verb, file][..], &key].concat());
    let said = check("check-proof", "proof.json");
    assert!(said.starts_with(&format!("position {position} is in the log daybook/tea of ")), "{said}");
    let said = check("check-consistency", "grown.json");
    assert!(said.contains(&format!("begins with the {position} that it had before")), "{said}");
    // The log still has the record, byte for byte, and goes on from what was signed.
    replay(&["prove", &position, "--head", "new.txt", "--out", "again.json"]);
    let [proof, again] = ["proof.json", "again.json"].map(|file| std::fs::read(folder.path().join(file)).unwrap());
    assert_eq!(proof, again);
    head("after.txt", &[]);
    replay(&["prove-consistency", "new.txt", "after.txt", "--out", "after.json"]);
    check("check-consistency", "after.json");
}

/// The files of a folder in which one of these words can be read, by what they are called in it.
fn files_with(folder: &Path, words: &[&[u8]]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in std::fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            if words.iter().any(|word| bytes.windows(word.len()).any(|window| window == *word)) {
                found.insert(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

/// The keys of persons as the vault keeps them, by the names of their pages.
fn pages_of_keys(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let vault = rusqlite::Connection::open(folder.join("vault.db")).unwrap();
    let mut pages = vault.prepare("SELECT name, sealed FROM entries WHERE name LIKE 'person-keys/%'").unwrap();
    pages.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// The address of the buyer as the shop as it was at a position shows it today, and the file of its views.
async fn address_as_of(folder: &Path, position: u64, order: &Value) -> (Value, String) {
    let config = ServeConfig::new(folder.to_owned(), "127.0.0.1:0".parse().unwrap());
    let config = ServeConfig { read_only: true, as_of: Some(Moment::Position(position)), ..config };
    let past = api::start(config).await.unwrap();
    let token = past.token(Role::Admin, Some("ana"), Duration::from_secs(600)).unwrap();
    let query = "query($id: ID!) { order(id: $id) { number email shippingAddress { line1 } } }";
    let answer = ask(&past.url(), &token, query, json!({ "id": order })).await;
    assert!(answer["order"]["number"].is_string(), "{answer}");
    past.shutdown().await;
    (json!([answer["order"]["email"], answer["order"]["shippingAddress"]["line1"]]), format!("as-of/{position}/views.db"))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_no_file_of_the_shop_and_no_copy_made_before_tells_who_it_was() {
    const BUYER: [&str; 2] = ["ben@example.com", "Kai 1"];
    let folder = tempfile::tempdir().unwrap();
    let events = format!("sqlite:{}", folder.path().join("events.db").display());
    let (server, order) = sold(folder.path()).await;
    let head = event_store::open_read_only(&events).await.unwrap().head().await.unwrap().position;

    // All that is made of a log while the buyer is known: an export, signed heads with their tiles, views of the past.
    let mut export = Command::new(binary("daybook-replay"));
    let export = export.args(["export", "--log", &events, "--out"]).arg(folder.path().join("events.jsonl"));
    assert!(export.output().unwrap().status.success());
    let token = server.token(Role::Admin, Some("ana"), Duration::from_secs(600)).unwrap();
    let signed = reqwest::Client::new().post(format!("{}/notary/checkpoint", server.url())).bearer_auth(&token).send();
    assert_eq!(signed.await.unwrap().status(), 200);
    let (address, views_then) = address_as_of(folder.path(), head, &order).await;
    assert_eq!(address, json!(["ben@example.com", "Kai 1"]), "until then it is shown");
    assert!(folder.path().join("notary/checkpoint").exists() && folder.path().join("notary/tile").exists());

    let keys_then = pages_of_keys(folder.path());
    let input = json!({ "person": { "orderId": order }, "reason": "case 7" });
    let erased = ask(&server.url(), &token, ERASE, json!({ "input": input })).await;
    assert_eq!(erased["done"]["person"]["state"], "ERASED", "{erased}");
    let (address, _) = address_as_of(folder.path(), head, &order).await;
    assert_eq!(address, json!([null, null]), "the past forgets as well");
    server.shutdown().await;

    // The page with the buyer's key was sealed anew without it, and of what it was nothing is left.
    let keys_now = pages_of_keys(folder.path());
    let pages: Vec<_> = keys_then.iter().filter(|(name, page)| keys_now.get(*name) != Some(page)).map(|(_, page)| page).collect();
    let parts: Vec<_> = pages.iter().flat_map(|page| page.chunks_exact(64)).collect();
    assert!(!parts.is_empty(), "a page has changed");
    assert_eq!(files_with(folder.path(), &parts), BTreeSet::new());

    let sold = files_with(folder.path(), &[SKUS[0].as_bytes()]);
    for copy in ["events.db", "views.db", "events.jsonl", &views_then] {
        // Or in what SQLite keeps beside its file.
        let is_in = |file: &PathBuf| file.to_string_lossy().starts_with(copy);
        assert!(sold.iter().any(is_in), "what was sold stays in {copy}: {sold:?}");
    }
    assert_eq!(files_with(folder.path(), &BUYER.map(str::as_bytes)), BTreeSet::new());
}
