//! Somebody buys and is erased: the log still verifies, begins with exactly what it was, and the views fold as before.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{ServeConfig, access::Role};
use event_store::Log;
use replay_tools::{Head, verify};
use serde_json::{Value, json};

use crate::shopper::{ADD, CHECKOUT, CONFIRM, CREATE, SKUS, Shopper, UPDATE, details, stock_the_shelves};

const ERASE: &str = "mutation($input: PersonEraseInput!) {
    done: personErase(input: $input) { person { state } position userErrors { code message } } }";

async fn ask(url: &str, token: &str, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables });
    let request = reqwest::Client::new().post(format!("{url}/graphql")).bearer_auth(token).json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_the_log_verifies_and_begins_with_what_it_was_and_the_figures_stay() {
    let folder = tempfile::tempdir().unwrap();
    let events = format!("sqlite:{}", folder.path().join("events.db").display());
    stock_the_shelves(event_store::open(&events).await.unwrap(), &BTreeMap::from([(SKUS[0].to_owned(), 10)])).await;
    let server = api::start(ServeConfig::new(folder.path().to_owned(), "127.0.0.1:0".parse().unwrap())).await.unwrap();
    let url = server.url();
    let shopper = Shopper::new(&url);
    let created = shopper.ask(CREATE, &json!({ "currency": "EUR" })).await.unwrap();
    let cart = created["cart"]["id"].clone();
    shopper.ask(ADD, &json!({ "cartId": cart, "lines": [{ "sku": SKUS[0], "quantity": 2 }] })).await.unwrap();
    shopper.ask(UPDATE, &details(&cart)).await.unwrap();
    let placed = shopper.ask(CHECKOUT, &json!({ "cartId": cart })).await.unwrap();
    let (order, payment) = (placed["order"]["id"].clone(), placed["payment"]["id"].clone());
    shopper.ask(CONFIRM, &json!({ "paymentId": payment, "token": "sandbox_ok" })).await.unwrap();

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
