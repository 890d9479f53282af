//! Subscribers: they are told of everything once, in order, also after a break.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use api::access::Role;
use projections::{Runner, Views};
use serde_json::{Value, json};

use crate::{
    server::Server,
    shop::{ORDER, full_cart, paid_order, tea},
    socket_rules::Socket,
};

impl Socket {
    /// The data of the next answer of an operation.
    pub async fn data(&mut self) -> Value {
        let message = tokio::time::timeout(Duration::from_secs(60), self.next()).await.unwrap();
        assert_eq!(message["type"], "next", "{message}");
        message["payload"]["data"].clone()
    }

    /// The positions of the updates of an order from here on, up to the one at `last`.
    async fn updates(&mut self, last: u64) -> Vec<u64> {
        let mut heard: Vec<u64> = Vec::new();
        while heard.last().is_none_or(|position| *position < last) {
            let update = self.data().await["orderUpdated"].clone();
            assert_eq!(update["order"]["status"], "PAID", "each comes with the order: {update}");
            heard.push(update["position"].as_u64().unwrap());
        }
        heard
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

/// The views that whoever follows an order is told from.
const FOLLOWED: [&str; 2] = ["orders", "payments"];

fn views(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("views.db")).unwrap()
}

/// Which generation of each of these views is served.
fn served(folder: &Path) -> Vec<u32> {
    let sql = "SELECT generation FROM projections WHERE projection = ?1 AND serving";
    FOLLOWED.iter().map(|view| views(folder).query_row(sql, [view], |row| row.get(0)).unwrap()).collect()
}

/// Begins to build these views anew in a shop that is closed. Until the trigger is gone no event gets into a new generation, so
/// that the building takes as long as the test wants, as it does over a long log.
async fn begin_rebuild(folder: &Path) {
    let hold = "CREATE TRIGGER held BEFORE UPDATE ON projections WHEN NOT NEW.serving BEGIN SELECT RAISE(ABORT, 'held'); END";
    views(folder).execute_batch(hold).unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.join(name).display());
    let log = event_store::open(&url("events.db")).await.unwrap();
    let runner = Runner::start(log, Views::open(&url("views.db")).unwrap(), projections::ALL).await.unwrap();
    for view in FOLLOWED {
        runner.rebuild(view).await.unwrap();
    }
    runner.stop().await;
}

/// Whether each of these views is in a state.
async fn are(server: &Server, state: &str) -> bool {
    let told = server.run(Some(Role::Admin), "{ projections { name state } }", json!({})).await["data"]["projections"].clone();
    let is = |view: &&str| told.as_array().unwrap().contains(&json!({ "name": view, "state": state }));
    FOLLOWED.iter().all(is)
}

/// Writes something down about an order, which is one update of it: its position.
async fn note(server: &Server, order: &str) -> u64 {
    let input = json!({ "orderId": order, "note": uuid::Uuid::now_v7().to_string() });
    server.done(Some(Role::Support), "orderNoteAdd", "order { id }", input).await["position"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_an_order_while_its_views_are_built_anew_hears_of_everything_once() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let order = paid_order(&server, "TEA-100", 1).await["order"]["id"].as_str().unwrap().to_owned();
    let follow = async |server: &Server, from: u64| {
        let mut socket = Socket::ready(server, None).await;
        let wanted = "{ position order { status } }";
        socket.subscribe("1", &format!("subscription {{ orderUpdated(id: \"{order}\", fromPosition: {from}) {wanted} }}")).await;
        socket
    };
    let mut noted = vec![note(&server, &order).await];
    let mut heard = follow(&server, 0).await.updates(noted[0]).await;
    // Nobody hears of this one as it happens.
    noted.push(note(&server, &order).await);
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    let before = served(folder.path());
    begin_rebuild(folder.path()).await;

    let server = Server::reopen(folder).await;
    let mut socket = follow(&server, *heard.last().unwrap()).await;
    for _ in 0..3 {
        noted.push(note(&server, &order).await);
        paid_order(&server, "TEA-100", 1).await;
    }
    heard.extend(socket.updates(*noted.last().unwrap()).await);
    assert!(are(&server, "REBUILDING").await && served(server.folder.path()) == before, "all of it came from the old ones");
    views(server.folder.path()).execute_batch("DROP TRIGGER held").unwrap();
    let begun = Instant::now();
    while !are(&server, "LIVE").await {
        assert!(begun.elapsed() < Duration::from_secs(60), "the new generations do not serve");
        noted.push(note(&server, &order).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = served(server.folder.path());
    assert!(after.iter().zip(&before).all(|(after, before)| after > before), "{before:?} {after:?}");
    noted.push(note(&server, &order).await);
    heard.extend(socket.updates(*noted.last().unwrap()).await);

    assert!(heard.is_sorted_by(|one, next| one < next), "each once, in order: {heard:?}");
    assert!(noted.iter().all(|position| heard.contains(position)), "{noted:?} {heard:?}");
    let anew = follow(&server, 0).await.updates(*noted.last().unwrap()).await;
    assert_eq!(heard, anew, "whoever begins now is told of the same");
}
