//! The same request sent twice, or a hundred times, does one thing.

use std::{collections::BTreeSet, time::Duration};

use api::access::Role;
use serde_json::json;

use crate::{
    server::Server,
    shop::{ORDER, full_cart, tea},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_sent_100_times_in_parallel_places_one_order() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let header = [("idempotency-key", "checkout-1-of-a-parallel-test")];
    let send = || server.mutate_with(None, "cartCheckout", ORDER, json!({ "cartId": cart }), &header);
    let answers = futures::future::join_all((0..100).map(|_| send())).await;
    let different: BTreeSet<String> = answers.iter().map(ToString::to_string).collect();
    assert_eq!(different.len(), 1, "{different:?}");
    assert_eq!(answers[0]["userErrors"], json!([]));
    let stock = server.run(Some(Role::Admin), "{ stock(sku: \"TEA-100\") { reserved } }", json!({})).await;
    assert_eq!(stock["data"]["stock"]["reserved"], 1);
}

#[tokio::test]
async fn the_same_key_with_other_input_is_refused_and_a_refusal_is_not_remembered() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 1).await;
    let create = |key: &str, currency: &str| json!({ "currency": currency, "idempotencyKey": key });
    let first = server.mutate(None, "cartCreate", "cart { id }", create("a-key-of-18-chars-", "EUR")).await;
    assert_eq!(server.mutate(None, "cartCreate", "cart { id }", create("a-key-of-18-chars-", "EUR")).await, first);
    let reused = server.mutate(None, "cartCreate", "cart { id }", create("a-key-of-18-chars-", "GBP")).await;
    assert_eq!((&reused["cart"], &reused["userErrors"][0]["code"]), (&json!(null), &json!("IDEMPOTENCY_KEY_REUSED")));
    assert_ne!(
        server.mutate(None, "cartCreate", "cart { id }", create("b-key-of-18-chars-", "EUR")).await["cart"]["id"],
        first["cart"]["id"]
    );

    let cart = full_cart(&server, "TEA-100", 2, "EUR").await;
    let checkout = json!({ "cartId": cart, "idempotencyKey": "c-key-of-18-chars-" });
    let refused = server.mutate(None, "cartCheckout", "order { id }", checkout.clone()).await;
    assert_eq!(refused["userErrors"][0]["code"], "INSUFFICIENT_STOCK");
    let more = json!({ "sku": "TEA-100", "quantity": 5 });
    server.done(Some(Role::Merchant), "stockReceive", "stock { onHand }", more).await;
    server.done(None, "cartCheckout", "order { id }", checkout).await;
}

#[tokio::test]
async fn a_key_that_can_be_guessed_is_refused_to_callers_who_are_nobody_in_particular() {
    let server = Server::start().await;
    let short = json!({ "currency": "EUR", "idempotencyKey": "my-cart" });
    let refused = server.mutate(None, "cartCreate", "cart { id }", short.clone()).await;
    let error = &refused["userErrors"][0];
    assert_eq!((&error["code"], &error["field"]), (&json!("INVALID_INPUT"), &json!(["idempotencyKey"])));
    let header = [("idempotency-key", "my-cart")];
    let refused = server.mutate_with(None, "cartCreate", "cart { id }", json!({ "currency": "EUR" }), &header).await;
    assert_eq!(refused["userErrors"][0]["code"], "INVALID_INPUT");

    let query = "mutation($i: CartCreateInput!) { cartCreate(input: $i) { cart { id } userErrors { code } } }";
    let request = server.post(json!({ "query": query, "variables": { "i": short } }).to_string());
    let token = server.token_of("ana", Duration::from_secs(600));
    let answer: serde_json::Value = request.bearer_auth(token).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["cartCreate"]["userErrors"], json!([]), "her keys are hers alone");
}

#[tokio::test]
async fn one_rule_says_what_a_key_is_in_the_header_and_in_the_input() {
    let server = Server::start().await;
    let longest = "k".repeat(200);
    let query = "mutation($i: CartCreateInput!) { cartCreate(input: $i) { cart { id } userErrors { code field } } }";
    for (key, fits) in [
        (longest.clone(), true),
        ("tea for two, please".to_owned(), true),
        (longest.clone() + "k", false),
        ("k".repeat(10_000), false),
        (" ".repeat(30), false),
        (String::new(), false),
        ("sixteen characters\u{7f}".to_owned(), false),
    ] {
        let input = json!({ "currency": "EUR", "idempotencyKey": key });
        let by_input = server.run(None, query, json!({ "i": input })).await["data"]["cartCreate"].clone();
        let errors = if fits { json!([]) } else { json!([{ "code": "INVALID_INPUT", "field": ["idempotencyKey"] }]) };
        assert_eq!(by_input["userErrors"], errors, "{key}");
        // What no HTTP client sends is not asked for.
        let Ok(header) = reqwest::header::HeaderValue::from_str(&key) else { continue };
        let request = server.post(json!({ "query": query, "variables": { "i": { "currency": "EUR" } } }).to_string());
        let answer: serde_json::Value = request.header("idempotency-key", header).send().await.unwrap().json().await.unwrap();
        if fits {
            assert_eq!(answer["data"]["cartCreate"]["cart"], by_input["cart"], "both say the same: {answer}");
        } else {
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_REQUEST", "{key}");
        }
    }
}

#[tokio::test]
async fn a_payment_that_is_confirmed_twice_with_one_key_is_answered_alike_and_taken_once() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    let confirm = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok", "idempotencyKey": "k-key-of-18-chars-" });
    let shown = "payment { status captured { amountMinor } } order { status received { amountMinor } }";
    let first = server.done(None, "paymentConfirm", shown, confirm.clone()).await;
    server.done(None, "cartCreate", "cart { id }", json!({})).await;
    assert_eq!(server.done(None, "paymentConfirm", shown, confirm).await, first);
    assert_eq!(first["order"], json!({ "status": "PAID", "received": { "amountMinor": 940 } }));
    let other = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok" });
    assert_eq!(server.mutate(None, "paymentConfirm", shown, other).await["userErrors"][0]["code"], "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_buyers_of_50_units_place_50_orders_and_are_refused_150_times_by_name() {
    let server = Server::start().await;
    tea(&server, "HOT", "9.00", "EUR", 50).await;
    let carts = futures::future::join_all((0..200).map(|_| full_cart(&server, "HOT", 1, "EUR"))).await;
    let buy = |cart| server.mutate(None, "cartCheckout", "order { id }", json!({ "cartId": cart }));
    let answers = futures::future::join_all(carts.into_iter().map(buy)).await;
    let orders: BTreeSet<&str> = answers.iter().filter_map(|answer| answer["order"]["id"].as_str()).collect();
    let refused = answers.iter().filter(|answer| answer["userErrors"][0]["__typename"] == "InsufficientStock").count();
    assert_eq!((orders.len(), refused), (50, 150));
    let stock = server.run(Some(Role::Admin), "{ stock(sku: \"HOT\") { onHand reserved available } }", json!({})).await;
    assert_eq!(stock["data"]["stock"], json!({ "onHand": 50, "reserved": 50, "available": 0 }));
}
