//! graphql-transport-ws: order of messages, close codes, and what ends what.

use std::{collections::BTreeSet, time::Duration};

use api::access::Role;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    server::Server,
    shop::{ORDER, full_cart, tea},
};

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn open(server: &Server, path: &str, protocol: &str) -> Self {
        let mut request = server.url(path).replace("http", "ws").into_client_request().unwrap();
        if !protocol.is_empty() {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        Self(tokio_tungstenite::connect_async(request).await.unwrap().0)
    }

    /// A socket whose client has said who it is.
    pub async fn ready(server: &Server, token: Option<String>) -> Self {
        let mut socket = Self::open(server, "/graphql", "graphql-transport-ws").await;
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket
    }

    pub async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn next(&mut self) -> Value {
        match self.0.next().await.unwrap().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            Message::Close(Some(frame)) => json!(u16::from(frame.code)),
            other => panic!("{other:?}"),
        }
    }

    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }
}

#[tokio::test]
async fn a_query_runs_over_either_path_after_the_handshake() {
    let server = Server::start().await;
    for path in ["/graphql", "/graphql/ws"] {
        let mut socket = Socket::open(&server, path, "graphql-transport-ws").await;
        socket.send(json!({ "type": "connection_init" })).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket.subscribe("1", "{ me { role } }").await;
        let next = socket.next().await;
        assert_eq!(
            (&next["type"], &next["id"], &next["payload"]["data"]["me"]["role"]),
            (&json!("next"), &json!("1"), &json!("CUSTOMER"))
        );
        assert_eq!(socket.next().await, json!({ "id": "1", "type": "complete" }));
    }
}

#[tokio::test]
async fn a_ping_is_answered_with_a_pong_of_the_same_payload_also_before_the_handshake() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server, "/graphql", "graphql-transport-ws").await;
    socket.send(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    assert_eq!(socket.next().await, json!({ "type": "pong", "payload": { "n": 1 } }));
}

#[tokio::test]
async fn each_breach_of_the_protocol_has_its_close_code() {
    let server = Server::start().await;
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ me { role } }" } });
    let init = json!({ "type": "connection_init" });
    let with = |payload: Value| json!({ "type": "subscribe", "id": "1", "payload": payload });
    let forged = json!({ "type": "connection_init", "payload": { "authorization": "Bearer nonsense" } });
    for (messages, expected) in [
        (vec![subscribe], 4401),
        (vec![init.clone(), init.clone()], 4429),
        (vec![json!({ "type": "unknown" })], 4400),
        (vec![json!("text")], 4400),
        (vec![json!({ "type": "connection_init", "payload": [] })], 4400),
        (vec![json!({ "type": "ping", "payload": "p" })], 4400),
        (vec![json!({ "type": "pong", "payload": 7 })], 4400),
        (vec![init.clone(), json!({ "type": "subscribe", "id": "1" })], 4400),
        (vec![init.clone(), with(json!({}))], 4400),
        (vec![init.clone(), with(json!({ "query": "{ me { role } }", "variables": [] }))], 4400),
        (vec![forged], 4403),
    ] {
        let mut socket = Socket::open(&server, "/graphql", "graphql-transport-ws").await;
        for message in messages {
            socket.send(message).await;
        }
        let mut last = socket.next().await;
        if last["type"] == "connection_ack" {
            last = socket.next().await;
        }
        assert_eq!(last, json!(expected));
    }
    let mut socket = Socket::ready(&server, None).await;
    socket.0.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(socket.next().await, json!(4400));
    assert_eq!(Socket::open(&server, "/graphql", "").await.next().await, json!(4406));
}

#[tokio::test]
async fn a_client_that_closes_is_answered_before_the_connection_goes() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server, None).await;
    socket.0.close(None).await.unwrap();
    let mut last = None;
    while let Some(message) = socket.0.next().await {
        last = Some(message.unwrap());
    }
    assert!(matches!(last, Some(Message::Close(_))), "{last:?}");
}

#[tokio::test]
async fn an_operation_that_cannot_run_is_an_error_message_and_the_socket_lives_on() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server, None).await;
    for (id, query, code) in [("1", "{", "GRAPHQL_PARSE_FAILED"), ("2", "{ nothing }", "GRAPHQL_VALIDATION_FAILED")] {
        socket.subscribe(id, query).await;
        let error = socket.next().await;
        assert_eq!(
            (&error["type"], &error["id"], &error["payload"][0]["extensions"]["code"]),
            (&json!("error"), &json!(id), &json!(code))
        );
    }
    // The id is free again once its operation has ended.
    socket.subscribe("1", "{ me { role } }").await;
    assert_eq!(socket.next().await["type"], "next");
}

#[tokio::test]
async fn a_socket_is_closed_when_its_token_ends() {
    let server = Server::start().await;
    // Tokens end on whole seconds, so this one lives for nine seconds at least: enough to subscribe on a busy machine.
    let token = server.token(Role::Auditor, Duration::from_secs(10));
    let mut socket = Socket::ready(&server, Some(token)).await;
    socket.subscribe("1", "subscription { events { position } }").await;
    // That an auditor looks is an event itself.
    assert_eq!(socket.next().await["payload"]["data"], json!({ "events": { "position": 1 } }));
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), socket.next()).await.unwrap(), json!(4403));
}

impl Socket {
    /// Reads until each of these operations was told of an event of this type; gives what was no event for anyone.
    async fn told(&mut self, mut waiting: BTreeSet<String>, event_type: &str) -> Vec<Value> {
        let mut others = Vec::new();
        while !waiting.is_empty() {
            let message = tokio::time::timeout(Duration::from_secs(60), self.next()).await.unwrap();
            if message["payload"]["data"]["orderUpdated"]["type"] == event_type {
                waiting.remove(message["id"].as_str().unwrap());
            }
            if message["type"] != "next" {
                others.push(message);
            }
        }
        others
    }

    /// Which operation is refused next, and why; what others are told of until then is passed over.
    async fn refused(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(60), self.next()).await.unwrap();
            if message["type"] != "next" {
                return json!([message["type"], message["id"], message["payload"][0]["extensions"]["code"]]);
            }
        }
    }
}

#[tokio::test]
async fn a_hundred_operations_run_on_a_socket_and_one_more_begins_when_one_of_them_has_ended() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    // From the beginning, so that what happens is told of to each, however late its task begins.
    let query = format!("subscription {{ orderUpdated(id: {}, fromPosition: 0) {{ type }} }}", placed["order"]["id"]);
    let mut socket = Socket::ready(&server, None).await;
    let hundred: BTreeSet<String> = (0..100).map(|id| id.to_string()).collect();
    for id in &hundred {
        socket.subscribe(id, &query).await;
    }
    socket.subscribe("one more", &query).await;
    assert_eq!(socket.refused().await, json!(["error", "one more", "OPERATION_LIMIT"]));

    let confirm = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok" });
    server.done(None, "paymentConfirm", "order { status }", confirm).await;
    assert_eq!(socket.told(hundred, "OrderPaymentReceived").await, Vec::<Value>::new(), "all of the hundred live on");

    socket.send(json!({ "type": "complete", "id": "7" })).await;
    socket.subscribe("one more", &query).await;
    let others = socket.told(BTreeSet::from(["one more".to_owned()]), "OrderPaymentReceived").await;
    assert_eq!(others, Vec::<Value>::new());
    socket.subscribe("7", &query).await;
    assert_eq!(socket.refused().await, json!(["error", "7", "OPERATION_LIMIT"]), "there was room for one");
}
