//! Subscribers whose connections break again and again while others buy: each goes on where it was, at either of two nodes,
//! over a WebSocket or as server-sent events, and is told everything once.
//!
//! The long version: `DAYBOOK_RECONNECTS=1000 cargo nextest run --release -p stories reconnects`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use event_store::Log;
use futures::{SinkExt as _, StreamExt as _};
use reqwest::Client;
use serde_json::{Value, json};
use test_postgres::Postgres;
use tokio::{net::TcpStream, sync::oneshot};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::{
    kill::{random, whole},
    process::{Process, bearer},
    shopper::{CHECKOUT, CREATE, SKUS, Shopper, UPDATE, details, stock_the_shelves},
};

const LONG: Duration = Duration::from_secs(60);
const BUYERS: usize = 4;
const FOLLOWERS: u64 = 4;
const EVENTS: &str = "subscription($from: Long!) { update: events(fromPosition: $from) { position } }";
const ORDER: &str = "subscription($from: Long!, $id: ID!) { update: orderUpdated(id: $id, fromPosition: $from) { position } }";

/// What somebody subscribes to.
#[derive(Clone)]
struct Subscription {
    query: &'static str,
    /// The order, if it is about one.
    order: Value,
}

impl Subscription {
    fn after(&self, position: u64) -> Value {
        json!({ "query": self.query, "variables": { "from": position, "id": self.order } })
    }
}

/// A connection that updates come over.
enum Connection {
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Stream(reqwest::Response, String),
}

impl Connection {
    async fn socket(node: &str, authorization: &str, operation: Value) -> Self {
        let mut request = format!("{}/graphql", node.replace("http", "ws")).into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().unwrap());
        let (mut socket, _) = connect_async(request).await.unwrap();
        let init = json!({ "type": "connection_init", "payload": { "Authorization": authorization } });
        let subscribe = json!({ "type": "subscribe", "id": "1", "payload": operation });
        for message in [init, subscribe] {
            socket.send(Message::text(message.to_string())).await.unwrap();
        }
        Self::Socket(Box::new(socket))
    }

    async fn stream(node: &str, authorization: &str, operation: Value) -> Self {
        let request = Client::new().post(format!("{node}/graphql/stream")).header("Authorization", authorization);
        Self::Stream(request.json(&operation).send().await.unwrap(), String::new())
    }

    /// The position of the next update; fails after a minute without one.
    async fn next(&mut self) -> u64 {
        let payload = tokio::time::timeout(LONG, self.payload()).await.expect("nothing came for a minute");
        payload["data"]["update"]["position"].as_u64().unwrap_or_else(|| panic!("{payload}"))
    }

    async fn payload(&mut self) -> Value {
        match self {
            Self::Socket(socket) => loop {
                let message = socket.next().await.expect("the socket was closed").unwrap();
                let Ok(text) = message.into_text() else { continue };
                let Ok(message) = serde_json::from_str::<Value>(&text) else { continue };
                match message["type"].as_str() {
                    Some("next") => return message["payload"].clone(),
                    Some("connection_ack" | "ping" | "pong") => {}
                    _ => panic!("{message}"),
                }
            },
            Self::Stream(response, text) => loop {
                if let Some((event, rest)) = text.split_once("\n\n") {
                    let data = event.strip_prefix("event: next\ndata: ").map(|data| serde_json::from_str(data).unwrap());
                    *text = rest.to_owned();
                    match data {
                        Some(data) => return data,
                        None => continue,
                    }
                }
                let chunk = response.chunk().await.unwrap().expect("the events ended");
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            },
        }
    }
}

/// The shop at its two nodes, and those who act there.
struct World {
    nodes: [Process; 2],
    auditor: String,
    /// How many connections are still to be broken.
    left: AtomicU64,
    /// How many followers still break theirs: there must be something to tell them until then.
    breaking: AtomicU64,
    over: AtomicBool,
}

impl World {
    async fn connect(&self, subscription: &Subscription, position: u64) -> Connection {
        let node = &self.nodes[usize::try_from(random(2)).unwrap()].url;
        let operation = subscription.after(position);
        if random(2) == 0 {
            Connection::socket(node, &self.auditor, operation).await
        } else {
            Connection::stream(node, &self.auditor, operation).await
        }
    }

    /// Buys, or writes notes on orders, until it is over.
    async fn keep_busy(self: Arc<Self>, number: usize, orders: Vec<Value>, staff: String) {
        let url = &self.nodes[number % 2].url;
        let mut shopper = Shopper::new(url);
        for round in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            if number < BUYERS {
                shopper.buy(SKUS[round % SKUS.len()]).await.unwrap();
            } else {
                let id = &orders[round % orders.len()];
                let query =
                    "mutation($id: ID!, $note: String!) { orderNoteAdd(input: { orderId: $id, note: $note }) { position } }";
                let body = json!({ "query": query, "variables": { "id": id, "note": format!("Call {round}") } });
                let asked = Client::new().post(format!("{url}/graphql")).header("Authorization", &staff).json(&body).send();
                let answer: Value = asked.await.unwrap().json().await.unwrap();
                assert!(answer["data"]["orderNoteAdd"]["position"].is_u64(), "{answer}");
            }
        }
    }

    /// Follows over connections that break after a few updates, until enough have; then to the last of what there is to see.
    /// Gives the positions it was told, in the order in which it was told them.
    async fn follow(self: Arc<Self>, subscription: Subscription, start: u64, last: oneshot::Receiver<u64>) -> Vec<u64> {
        let mut told = Vec::new();
        let at = |told: &[u64]| told.last().copied().unwrap_or(start);
        while self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let mut connection = self.connect(&subscription, at(&told)).await;
            for _ in 0..random(6) {
                told.push(connection.next().await);
            }
        }
        self.breaking.fetch_sub(1, Ordering::Relaxed);
        let last = last.await.unwrap();
        if at(&told) < last {
            let mut connection = self.connect(&subscription, at(&told)).await;
            while at(&told) < last {
                told.push(connection.next().await);
            }
        }
        told
    }
}

/// Places an order; gives its id.
async fn place(shopper: &Shopper) -> Value {
    let lines = json!([{ "sku": SKUS[0], "quantity": 1 }]);
    let cart = shopper.ask(CREATE, &json!({ "currency": "EUR", "lines": lines })).await.unwrap()["cart"]["id"].clone();
    shopper.ask(UPDATE, &details(&cart)).await.unwrap();
    shopper.ask(CHECKOUT, &json!({ "cartId": cart })).await.unwrap()["order"]["id"].clone()
}

/// The streams of an order and its payments.
async fn streams(world: &World, order: &Value) -> Vec<String> {
    let first = "history(first: 1) { nodes { stream } }";
    let query = format!("query($id: ID!) {{ order(id: $id) {{ {first} payments {{ {first} }} }} }}");
    let body = json!({ "query": query, "variables": { "id": order } });
    let asked = Client::new().post(format!("{}/graphql", world.nodes[0].url)).header("Authorization", &world.auditor).json(&body);
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    let order = &answer["data"]["order"];
    let things = std::iter::once(order).chain(order["payments"].as_array().unwrap());
    things.map(|thing| thing["history"]["nodes"][0]["stream"].as_str().unwrap().to_owned()).collect()
}

/// The positions after `start` up to `end` that somebody who follows these streams, or the whole log, is to be told.
async fn truth(log: &dyn Log, start: u64, end: u64, streams: &[String]) -> Vec<u64> {
    let events = whole(log).await;
    let within = events.iter().filter(|event| (start + 1..=end).contains(&event.position));
    let theirs = within.filter(|event| streams.is_empty() || streams.contains(&event.event.stream.to_string()));
    theirs.map(|event| event.position).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_reconnect_under_load_miss_nothing_and_hear_nothing_twice() {
    let Some(server) = Postgres::start() else { return };
    let reconnects = std::env::var("DAYBOOK_RECONNECTS").map_or(200, |many| many.parse().unwrap());
    let (folder, database) = (tempfile::tempdir().unwrap(), server.database("shop"));
    let log = event_store::open(&database).await.unwrap();
    stock_the_shelves(log.clone(), &SKUS.map(|sku| (sku.to_owned(), 1_000_000)).into()).await;
    let settings = [("DAYBOOK_EVENTS", database.as_str()), ("DAYBOOK_VIEWS", &database), ("DAYBOOK_RATE_LIMIT", "off")];
    let nodes = [Process::serve_with(folder.path(), &settings), Process::serve_with(folder.path(), &settings)];
    let bearer = |role: &str| bearer(folder.path(), role, &settings);
    let (auditor, staff) = (bearer("auditor"), bearer("support"));
    let (left, breaking) = (AtomicU64::new(reconnects), AtomicU64::new(FOLLOWERS));
    let world = Arc::new(World { nodes, auditor, left, breaking, over: AtomicBool::new(false) });

    let shopper = Shopper::new(&world.nodes[0].url);
    let orders = vec![place(&shopper).await, place(&shopper).await];
    let start = log.head().await.unwrap().position;
    let everything = Subscription { query: EVENTS, order: Value::Null };
    let of_orders = orders.iter().map(|order| Subscription { query: ORDER, order: order.clone() });
    let followed: Vec<Subscription> = of_orders.chain([everything.clone(), everything]).collect();
    assert_eq!(followed.len() as u64, FOLLOWERS);
    let mut ends = Vec::new();
    for subscription in &followed {
        let (last, receiver) = oneshot::channel();
        ends.push((last, tokio::spawn(world.clone().follow(subscription.clone(), start, receiver))));
    }
    let busy = |number| tokio::spawn(world.clone().keep_busy(number, orders.clone(), staff.clone()));
    let busy: Vec<_> = (0..BUYERS + 2).map(busy).collect();
    while world.breaking.load(Ordering::Relaxed) > 0 {
        assert!(!ends.iter().any(|(_, follower)| follower.is_finished()), "a follower gave up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.over.store(true, Ordering::Relaxed);
    for one in busy {
        one.await.unwrap();
    }
    let end = log.head().await.unwrap().position;
    let mut updates = 0;
    for (subscription, (last, follower)) in followed.iter().zip(ends) {
        let streams = if subscription.order.is_null() { Vec::new() } else { streams(&world, &subscription.order).await };
        let expected = truth(&*log, start, end, &streams).await;
        last.send(*expected.last().unwrap()).unwrap();
        let mut told = follower.await.unwrap();
        // What follows from a purchase goes on after the last buyer has left.
        told.retain(|position| *position <= end);
        assert_eq!(told, expected, "{}", subscription.query);
        updates += told.len();
    }
    println!(
        "{reconnects} reconnects of {} subscribers, {} events written, {updates} updates, none missed, none twice",
        followed.len(),
        end - start
    );
}
