//! Persons: what is about somebody can be read by whom it is for, handed out, kept by a legal hold, and erased for ever.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use api::access::Role;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    server::{Server, config},
    shop::{ORDER, tea},
};

/// What is known about her, each unlike anything else in the shop.
const NAME: &str = "Zofia Wiśniewska-Brzęczyszczykiewicz";
const EMAIL: &str = "zofia.wisniewska@poczta-przykladowa.example";
const STREET: &str = "ulica Krakowskie Przedmieście 4711";
const PHONE: &str = "+48 601 987 654";
const NOTE: &str = "Zofia asked to leave the parcel with pan Grzegorz.";
const COMMENT: &str = "The parcel came to Krakowskie Przedmieście in two days.";

const PERSON: &str = "person { ids customerIds state legalHolds { name reason } hasUnsealed requestedBy reason }";

fn address() -> Value {
    json!({ "name": NAME, "line1": STREET, "city": "Warszawa", "postalCode": "00-071", "country": "PL", "phone": PHONE })
}

/// What an order tells staff of its buyer.
const BUYER: &str = "query($id: ID!) { node(id: $id) { ... on Order { email note shippingAddress { name line1 phone } \
                     total { gross { amountMinor } } history(first: 20) { nodes { type change } } } } }";

/// She buys as a guest, pays, reviews, and staff write something down. Gives the order's id.
async fn buys(server: &Server) -> String {
    let lines = json!([{ "sku": "TEA-100", "quantity": 1 }]);
    let created = server.done(None, "cartCreate", "cart { id }", json!({ "currency": "EUR", "lines": lines })).await;
    let cart = created["cart"]["id"].clone();
    let key = format!("cart-update-{}", uuid::Uuid::now_v7());
    let details = json!({ "cartId": cart, "email": EMAIL, "shippingAddress": address(), "shippingMethod": "standard",
        "idempotencyKey": key });
    let updated = server.done(None, "cartUpdate", "cart { email shippingAddress { name phone } }", details).await;
    assert_eq!(updated["cart"], json!({ "email": EMAIL, "shippingAddress": { "name": NAME, "phone": PHONE } }));
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    let input = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok" });
    server.done(None, "paymentConfirm", "order { status }", input).await;
    let order = placed["order"]["id"].as_str().unwrap().to_owned();
    server.done(Some(Role::Support), "orderNoteAdd", "order { note }", json!({ "orderId": order, "note": NOTE })).await;
    let review = json!({ "orderId": order, "rating": 5, "title": "Dziękuję", "comment": COMMENT });
    server.done(None, "reviewSubmit", "review { comment }", review).await;
    order
}

async fn shown(server: &Server, order: &str) -> Value {
    server.run(Some(Role::Admin), BUYER, json!({ "id": order })).await["data"]["node"].clone()
}

async fn books(server: &Server) -> Value {
    let asked =
        "{ sales { orders gross { amountMinor } } trialBalance { currency debit { amountMinor } credit { amountMinor } } }";
    let answer = server.run(Some(Role::Admin), asked, json!({})).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].clone()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Every file in which something about her can be read, as it is or in base64, wherever in a group of three bytes it begins.
fn leaks(folder: &Path) -> Vec<String> {
    let needles = needles();
    let mut found = Vec::new();
    for path in files(folder) {
        found.extend(
            within(&std::fs::read(&path).unwrap(), &needles).into_iter().map(|word| format!("{}: {word}", path.display())),
        );
    }
    found
}

fn within(bytes: &[u8], needles: &[Vec<u8>]) -> Vec<String> {
    let is_in = |needle: &&Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle.as_slice());
    needles.iter().filter(is_in).map(|needle| String::from_utf8_lossy(needle).into_owned()).collect()
}

/// What is looked for: each word as it is, as JSON escapes it, and in base64.
fn needles() -> Vec<Vec<u8>> {
    let mut needles: Vec<Vec<u8>> = Vec::new();
    for word in [NAME, EMAIL, STREET, PHONE, NOTE, COMMENT, "Wiśniewska", "wisniewska", "Krakowskie"] {
        needles.push(word.as_bytes().to_vec());
        // As JSON escapes what is not ASCII.
        let escaped: String =
            word.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) }).collect();
        needles.push(escaped.into_bytes());
        for before in 0..3 {
            let padded = [vec![b' '; before], word.as_bytes().to_vec()].concat();
            let encoded = BASE64_STANDARD.encode(&padded);
            let whole = &encoded[before.div_ceil(3) * 4..encoded.len() - 4];
            needles.push(whole.as_bytes().to_vec());
            needles.push(whole.replace('+', "-").replace('/', "_").into_bytes());
        }
    }
    needles
}

async fn erase(server: &Server, role: Role, person: Value) -> Value {
    server.mutate(Some(role), "personErase", PERSON, json!({ "person": person, "reason": "case 2026-118" })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_no_byte_of_the_installation_tells_of_her_and_the_figures_stay() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let (order, kept) = (buys(&server).await, crate::shop::paid_order(&server, "TEA-100", 1).await);
    let before = shown(&server, &order).await;
    assert_eq!((&before["email"], &before["note"]), (&json!(EMAIL), &json!(NOTE)));
    assert_eq!(before["shippingAddress"], json!({ "name": NAME, "line1": STREET, "phone": PHONE }));
    let told = before["history"]["nodes"].to_string();
    assert!(told.contains(EMAIL) && told.contains(NOTE), "{told}");
    assert_eq!(leaks(server.folder.path()), Vec::<String>::new(), "nothing of it is on the disk while she is known");

    let figures = books(&server).await;
    let backup = tempfile::tempdir().unwrap();
    let erased = erase(&server, Role::Admin, json!({ "orderId": order })).await;
    assert_eq!(erased["userErrors"], json!([]), "{erased}");
    assert_eq!((&erased["person"]["state"], &erased["person"]["hasUnsealed"]), (&json!("ERASED"), &json!(false)));

    let after = shown(&server, &order).await;
    assert_eq!((&after["email"], &after["note"], &after["shippingAddress"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(after["total"], before["total"]);
    assert!(!after.to_string().contains("Wi\u{15b}niewska") && !after.to_string().contains(EMAIL), "{after}");
    assert_eq!(books(&server).await, figures);
    let other = shown(&server, kept["order"]["id"].as_str().unwrap()).await;
    assert_eq!(other["email"], "ana@example.com", "nobody else is touched");
    let nobody = server.run(Some(Role::Admin), "query($e: String) { person(email: $e) { ids } }", json!({ "e": EMAIL })).await;
    assert_eq!(nobody["data"]["person"], Value::Null, "she is not found by what is not known any more: {nobody}");

    // A copy of the log that was made before lies beside the vault of today.
    for file in files(server.folder.path()) {
        let name = file.file_name().unwrap();
        std::fs::copy(&file, backup.path().join(name)).unwrap();
    }
    let folder = server.folder;
    server.running.shutdown().await;
    assert_eq!(leaks(folder.path()), Vec::<String>::new());
    assert_eq!(leaks(backup.path()), Vec::<String>::new());
    let again = Server::reopen(folder).await;
    assert_eq!(shown(&again, &order).await["email"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_the_log_beside_the_vault_of_today_brings_nobody_back() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let order = buys(&server).await;
    let folder = server.folder;
    server.running.shutdown().await;
    let backup = tempfile::tempdir().unwrap();
    for name in ["events.db", "vault.db"] {
        std::fs::copy(folder.path().join(name), backup.path().join(name)).unwrap();
    }
    let server = Server::reopen(folder).await;
    assert_eq!(erase(&server, Role::Admin, json!({ "orderId": order })).await["userErrors"], json!([]));
    let folder = server.folder;
    server.running.shutdown().await;

    // The log of before, the vault of today.
    let log_of_today = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("events.db"), log_of_today.path().join("events.db")).unwrap();
    let remove = |folder: &Path, beginning: &str| {
        for file in files(folder) {
            if file.file_name().unwrap().to_str().unwrap().starts_with(beginning) {
                std::fs::remove_file(file).unwrap();
            }
        }
    };
    remove(folder.path(), "events.db");
    remove(folder.path(), "views.db");
    std::fs::copy(backup.path().join("events.db"), folder.path().join("events.db")).unwrap();
    let server = Server::reopen(folder).await;
    let older = shown(&server, &order).await;
    assert_eq!((&older["email"], &older["shippingAddress"]), (&Value::Null, &Value::Null), "{older}");
    let folder = server.folder;
    server.running.shutdown().await;

    // The log of today, the vault of before: what the log says is erased is destroyed again.
    for (from, name) in [(log_of_today.path(), "events.db"), (backup.path(), "vault.db")] {
        remove(folder.path(), name);
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    remove(folder.path(), "views.db");
    let server = Server::reopen(folder).await;
    for _ in 0..600 {
        if shown(&server, &order).await["email"] == Value::Null && shown(&server, &order).await["total"] != Value::Null {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let newer = shown(&server, &order).await;
    assert_eq!((&newer["email"], newer["total"].is_object()), (&Value::Null, true), "{newer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_postgresql_too_no_row_of_any_table_tells_of_her() {
    let Some(postgres) = test_postgres::Postgres::start() else { return };
    let (url, folder) = (postgres.database("shop"), tempfile::tempdir().unwrap());
    let config = api::ServeConfig { events: Some(url.clone()), views: Some(url), ..config(folder.path()) };
    let server = Server::configured(folder, config).await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let order = buys(&server).await;
    assert_eq!(shown(&server, &order).await["email"], EMAIL);
    let dump = || {
        let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
        let tables = postgres.psql("shop", tables);
        let rows = tables.lines().map(|table| postgres.psql("shop", &format!("SELECT t::text FROM {} t", table.trim())));
        rows.collect::<Vec<_>>().concat()
    };
    let before = dump();
    assert!(before.contains("sealed:1:") && before.contains("TEA-100"), "the tables are read");
    assert_eq!(within(before.as_bytes(), &needles()), Vec::<String>::new());
    assert_eq!(erase(&server, Role::Admin, json!({ "orderId": order })).await["userErrors"], json!([]));
    assert_eq!(shown(&server, &order).await["email"], Value::Null);
    assert_eq!(within(dump().as_bytes(), &needles()), Vec::<String>::new());
    assert_eq!(leaks(server.folder.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legal_hold_keeps_a_person_and_a_second_person_has_to_agree_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let config = api::ServeConfig { erasure_approval: true, ..config(folder.path()) };
    let server = Server::configured(folder, config).await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let order = buys(&server).await;
    let person = json!({ "orderId": order });
    let asks = async |name: &str, mutation: &str, input: Value| {
        let token = server.running.token(Role::Admin, Some(name), Duration::from_secs(600)).unwrap();
        let kind = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
        let query = format!("mutation($i: {kind}!) {{ {mutation}(input: $i) {{ {PERSON} userErrors {{ code message }} }} }}");
        let body = json!({ "query": query, "variables": { "i": input } }).to_string();
        let answer: Value = server.post(body).bearer_auth(token).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer.get("errors"), None, "{answer}");
        answer["data"][mutation].clone()
    };
    let code = |payload: &Value| payload["userErrors"][0]["code"].as_str().unwrap_or("done").to_owned();
    let erase = json!({ "person": person, "reason": "case 2026-118" });
    let asked = asks("ana", "personErase", erase.clone()).await;
    assert_eq!((code(&asked).as_str(), &asked["person"]["state"]), ("done", &json!("ERASURE_REQUESTED")), "{asked}");
    assert_eq!(asked["person"]["requestedBy"], "admin:ana");
    assert_eq!(code(&asks("ana", "personErase", erase.clone()).await), "ERASURE_PENDING");
    let approve = json!({ "person": person });
    assert_eq!(code(&asks("ana", "personErasureApprove", approve.clone()).await), "SECOND_PERSON_REQUIRED");
    let hold = json!({ "person": person, "name": "case 7", "reason": "a lawsuit" });
    let held = asks("ana", "legalHoldPlace", hold).await;
    assert_eq!(held["person"]["legalHolds"], json!([{ "name": "case 7", "reason": "a lawsuit" }]));
    let refused = asks("ben", "personErasureApprove", approve.clone()).await;
    assert_eq!(code(&refused), "PERSON_ON_HOLD");
    assert!(refused["userErrors"][0]["message"].as_str().unwrap().contains("case 7"));
    assert_eq!(shown(&server, &order).await["email"], EMAIL);
    assert_eq!(code(&asks("ben", "legalHoldLift", json!({ "person": person, "name": "case 7" })).await), "done");
    let waiting = "{ erasures(state: ERASURE_REQUESTED) { totalCount nodes { id reason } } }";
    assert_eq!(server.run(Some(Role::Admin), waiting, json!({})).await["data"]["erasures"]["totalCount"], 1);
    assert_eq!(code(&asks("ben", "personErasureApprove", approve).await), "done");
    assert_eq!(shown(&server, &order).await["email"], Value::Null);
    assert_eq!(code(&asks("ana", "personErase", erase).await), "PERSON_ERASED");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_about_a_person_is_handed_out_to_who_may_have_it() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let order = buys(&server).await;
    let by = |field: &str| format!("query($v: String) {{ person({field}: $v) {{ ids customerIds state data }} }}");
    let found = server.run(Some(Role::Admin), &by("email"), json!({ "v": EMAIL.to_uppercase() })).await;
    let person = &found["data"]["person"];
    assert_eq!((person["ids"].as_array().map(Vec::len), &person["state"]), (Some(1), &json!("KEPT")), "{found}");
    let data = person["data"].to_string();
    for known in [NAME, EMAIL, STREET, PHONE, NOTE, COMMENT, "OrderPlaced", "CartDetailsSet", "PaymentCaptured"] {
        assert!(data.contains(known), "{known} is missing in {data}");
    }
    let again = server.run(Some(Role::Admin), &by("personId"), json!({ "v": person["ids"][0] })).await;
    assert_eq!(again["data"]["person"]["ids"], person["ids"]);
    let by_order = "query($v: ID) { person(orderId: $v) { ids } }";
    assert_eq!(server.run(Some(Role::Admin), by_order, json!({ "v": order })).await["data"]["person"]["ids"], person["ids"]);
    for role in [None, Some(Role::Customer), Some(Role::Support), Some(Role::Auditor), Some(Role::Merchant)] {
        let refused = server.run(role, &by("email"), json!({ "v": EMAIL })).await;
        assert!(refused.get("errors").is_some() && !refused.to_string().contains("KEPT"), "{role:?}: {refused}");
    }
    let none = server.run(Some(Role::Admin), &by("customerId"), json!({ "v": "nobody" })).await;
    assert_eq!(none["data"]["person"], Value::Null);
    let two = server.run(Some(Role::Admin), "{ person(email: \"a@b.example\", customerId: \"c\") { ids } }", json!({})).await;
    assert!(two.to_string().contains("by one of them"), "{two}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_one_person_and_reads_their_own_data() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let token = server.token_of("zofia", Duration::from_secs(600));
    let asks = async |query: &str, variables: Value| -> Value {
        let body = json!({ "query": query, "variables": variables }).to_string();
        server.post(body).bearer_auth(&token).send().await.unwrap().json().await.unwrap()
    };
    let mut ids = Vec::new();
    for _ in 0..2 {
        let created = asks("mutation { cartCreate(input: {}) { cart { id } } }", json!({})).await;
        let cart = created["data"]["cartCreate"]["cart"]["id"].clone();
        let update = "mutation($i: CartUpdateInput!) { cartUpdate(input: $i) { cart { email } userErrors { code } } }";
        asks(update, json!({ "i": { "cartId": cart, "email": EMAIL, "shippingAddress": address() } })).await;
        let person = "query($c: String) { person(customerId: $c) { ids customerIds } }";
        let found = server.run(Some(Role::Admin), person, json!({ "c": "zofia" })).await["data"]["person"].clone();
        assert_eq!(found["customerIds"], json!(["zofia"]));
        ids.push(found["ids"].clone());
    }
    assert_eq!(ids[0].as_array().map(Vec::len), Some(1));
    assert_eq!(ids[0], ids[1], "two carts of a customer have one key");
    let own = asks("{ me { exportData } }", json!({})).await.to_string();
    assert!(own.contains(NAME) && own.contains(EMAIL), "{own}");
    assert_eq!(server.ask("{ me { exportData } }").await["data"]["me"]["exportData"], Value::Null);
    let erased = erase(&server, Role::Admin, json!({ "customerId": "zofia" })).await;
    assert_eq!(erased["person"]["state"], "ERASED", "{erased}");
    let own = asks("{ me { exportData } }", json!({})).await.to_string();
    assert!(own.contains("CartDetailsSet") && !own.contains(EMAIL), "{own}");
}
