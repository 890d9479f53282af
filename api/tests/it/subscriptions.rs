//! Subscribers: they are told of everything once, in order, also after a break.

use api::access::Role;
use serde_json::{Value, json};
use std::time::Duration;

use crate::{
    server::Server,
    shop::{ORDER, full_cart, tea},
    socket_rules::Socket,
};

impl Socket {
    /// The data of the next answer of an operation.
    async fn data(&mut self) -> Value {
        let message = tokio::time::timeout(Duration::from_secs(60), self.next()).await.unwrap();
        assert_eq!(message["type"], "next", "{message}");
        message["payload"]["data"].clone()
    }
}

#[tokio::test]
async fn a_buyer_follows_an_order_and_goes_on_after_a_break_without_gap_or_repetition() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    let order = placed["order"]["id"].as_str().unwrap();
    let query = |from: &str| {
        format!("subscription {{ orderUpdated(id: \"{order}\"{from}) {{ position type order {{ status lines {{ sku }} }} }} }}")
    };
    let mut socket = Socket::ready(&server, None).await;
    socket.subscribe("1", &query("")).await;
    socket.subscribe("2", &query("")).await;
    socket.send(json!({ "type": "complete", "id": "2" })).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let confirm = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok" });
    server.done(None, "paymentConfirm", "order { status }", confirm).await;
    let mut live = Vec::new();
    while live.last().is_none_or(|update: &Value| update["orderUpdated"]["type"] != "OrderPaymentReceived") {
        live.push(socket.data().await);
    }
    let last = &live.last().unwrap()["orderUpdated"];
    assert_eq!(last["order"], json!({ "status": "PAID", "lines": [{ "sku": "TEA-100" }] }));
    drop(socket);

    let mut socket = Socket::ready(&server, None).await;
    socket.subscribe("1", &query(", fromPosition: 0")).await;
    let mut positions = Vec::new();
    while positions.last() != Some(&last["position"]) {
        positions.push(socket.data().await["orderUpdated"]["position"].clone());
    }
    let known: Vec<_> = live.iter().map(|update| update["orderUpdated"]["position"].clone()).collect();
    assert!(positions.ends_with(&known) && positions.len() == known.len() + 2, "{positions:?} {known:?}");
    assert!(positions.is_sorted_by(|a, b| a.as_u64() < b.as_u64()));
}

#[tokio::test]
async fn staff_follow_stock_and_auditors_follow_everything() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let token = server.token(Role::Auditor, Duration::from_secs(60));
    let mut socket = Socket::ready(&server, Some(token)).await;
    socket.subscribe("1", "subscription { stockChanged(sku: \"TEA-100\", fromPosition: 0) { type stock { onHand } } }").await;
    assert_eq!(socket.data().await, json!({ "stockChanged": { "type": "StockReceived", "stock": { "onHand": 10 } } }));
    let more = json!({ "sku": "TEA-100", "quantity": 5 });
    server.done(Some(Role::Merchant), "stockReceive", "stock { onHand }", more).await;
    assert_eq!(socket.data().await, json!({ "stockChanged": { "type": "StockReceived", "stock": { "onHand": 15 } } }));
    socket.send(json!({ "type": "complete", "id": "1" })).await;

    socket
        .subscribe(
            "2",
            "subscription { events(fromPosition: 0, types: [\"StockReceived\", \"StockCounted\"]) { position type } }",
        )
        .await;
    assert_eq!(socket.data().await["events"]["type"], "StockReceived");
    assert_eq!(socket.data().await["events"]["type"], "StockReceived");
    server.done(Some(Role::Merchant), "stockCount", "stock { onHand }", json!({ "sku": "TEA-100", "counted": 3 })).await;
    assert_eq!(socket.data().await["events"]["type"], "StockCounted");
}

#[tokio::test]
async fn what_a_caller_may_not_follow_is_refused_and_an_id_may_not_run_twice() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server, None).await;
    socket.subscribe("1", "subscription { events { type } }").await;
    assert_eq!(socket.next().await["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN");
    assert_eq!(socket.next().await["type"], "complete");
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    let query = format!("subscription {{ orderUpdated(id: {}) {{ type }} }}", placed["order"]["id"]);
    socket.subscribe("2", &query).await;
    socket.subscribe("2", &query).await;
    assert_eq!(socket.next().await, json!(4409));
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye_to_its_sockets() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server, None).await;
    server.running.shutdown().await;
    assert_eq!(socket.next().await, json!(1001));
}
