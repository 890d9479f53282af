//! Webhooks through the door: set up by a merchant, told of a purchase, refused where they must be.

use std::{sync::Arc, time::Duration};

use api::{ServeConfig, access::Role};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use event_schemas::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use webhooks::{Secret, sign};

use crate::{
    server::{Server, code, config},
    shop::{paid_order, tea},
};

const MERCHANT: Option<Role> = Some(Role::Merchant);

/// What a receiver was sent.
#[derive(Debug, Clone)]
struct Message {
    headers: HeaderMap,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether one of its signatures is that of a secret.
    fn is_signed_with(&self, secret: &Value) -> bool {
        let secret = Secret::parse(secret.as_str().unwrap()).unwrap();
        let at = Timestamp::from_timestamp(self.header("webhook-timestamp").parse().unwrap(), 0).unwrap();
        let signature = sign(&[&secret], self.header("webhook-id"), at, &self.body);
        self.header("webhook-signature").split(' ').any(|given| given == signature)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver that takes everything.
struct Receiver {
    url: String,
    messages: Arc<watch::Sender<Vec<Message>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/daybook", listener.local_addr().unwrap());
        let messages = Arc::new(watch::Sender::new(Vec::new()));
        let router = Router::new().fallback(Self::take).with_state(messages.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, messages }
    }

    async fn take(State(messages): State<Arc<watch::Sender<Vec<Message>>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
        messages.send_modify(|all| all.push(Message { headers, body: String::from_utf8(body.to_vec()).unwrap() }));
        StatusCode::NO_CONTENT
    }

    /// Waits until so many messages have arrived.
    async fn count(&self, count: usize) -> Vec<Message> {
        let mut messages = self.messages.subscribe();
        let arrived = tokio::time::timeout(Duration::from_secs(60), messages.wait_for(|all| all.len() >= count)).await;
        arrived.unwrap_or_else(|_| panic!("{} messages arrived", self.messages.borrow().len())).unwrap().clone()
    }
}

/// A server whose webhooks may be sent to this machine.
async fn open() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let config = ServeConfig { webhook_allow: vec!["127.0.0.0/8".parse().unwrap()], ..config(folder.path()) };
    Server::configured(folder, config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchants_system_is_told_of_a_purchase_signed_and_after_a_restart_of_the_next() {
    let (server, receiver) = (open().await, Receiver::start().await);
    let input = json!({ "url": receiver.url, "types": ["order.placed"], "label": "ERP" });
    let created = server.done(MERCHANT, "webhookCreate", "webhook { id url types label paused undelivered } secret", input).await;
    let (id, secret) = (created["webhook"]["id"].clone(), created["secret"].clone());
    assert_eq!(created["webhook"]["types"], json!(["order.placed"]));

    tea(&server, "SENCHA", "4.50", "EUR", 10).await;
    let bought = paid_order(&server, "SENCHA", 2).await;
    let message = receiver.count(1).await.remove(0);
    assert!(message.is_signed_with(&secret), "{message:?}");
    let body = message.json();
    assert_eq!((&body["type"], &body["data"]["eventType"]), (&json!("order.placed"), &json!("OrderPlaced")));
    assert!(body["data"]["stream"].as_str().unwrap().starts_with("order/"), "{body}");
    assert!(body["data"]["payload"].to_string().contains("SENCHA") && bought["order"]["id"].is_string(), "{body}");

    let Server { running, folder, .. } = server;
    running.shutdown().await;
    let config = ServeConfig { webhook_allow: vec!["127.0.0.0/8".parse().unwrap()], ..config(folder.path()) };
    let server = Server::configured(folder, config).await;
    paid_order(&server, "SENCHA", 1).await;
    let next = receiver.count(2).await.remove(1);
    assert!(next.is_signed_with(&secret) && next.header("webhook-id") != message.header("webhook-id"));
    let query =
        "query($id: ID!) { webhook(id: $id) { delivery { position deliveredAt failingSince } failures { nodes { reason } } } }";
    let mut told = Value::Null;
    for _ in 0..600 {
        told = server.run(MERCHANT, query, json!({ "id": id })).await["data"]["webhook"].clone();
        if told["delivery"]["deliveredAt"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(told["delivery"]["deliveredAt"].is_string(), "{told}");
    assert_eq!((&told["delivery"]["failingSince"], &told["failures"]["nodes"]), (&Value::Null, &json!([])));
    server.running.shutdown().await;
    assert_eq!(receiver.messages.borrow().len(), 2, "nothing is told twice when nothing fails");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_paused_resumed_tried_replayed_given_a_new_secret_and_removed() {
    let (server, receiver) = (open().await, Receiver::start().await);
    let input = json!({ "url": receiver.url, "types": ["stock.received"] });
    let created = server.done(MERCHANT, "webhookCreate", "webhook { id } secret", input).await;
    let (id, old) = (json!({ "webhookId": created["webhook"]["id"] }), created["secret"].clone());

    let paused = server.done(MERCHANT, "webhookPause", "webhook { paused }", id.clone()).await;
    assert_eq!(paused["webhook"]["paused"], "STAFF");
    let tried = server.done(MERCHANT, "webhookTest", "attempt { delivered reason tookMs }", id.clone()).await;
    assert_eq!((&tried["attempt"]["delivered"], &tried["attempt"]["reason"]), (&json!(true), &Value::Null));
    assert_eq!(receiver.count(1).await[0].json()["type"], "webhook.test");
    let stock = server.done(MERCHANT, "stockReceive", "stock { onHand }", json!({ "sku": "TEA", "quantity": 1 })).await;
    server.done(MERCHANT, "webhookResume", "webhook { paused }", id.clone()).await;
    let waited = receiver.count(2).await.remove(1);
    assert_eq!(waited.json()["data"]["position"], stock["position"]);

    let rotated = server.done(MERCHANT, "webhookSecretRotate", "webhook { id } secret", id.clone()).await;
    let retry = json!({ "webhookId": id["webhookId"], "position": stock["position"] });
    server.done(MERCHANT, "webhookRetry", "webhook { id }", retry).await;
    let again = receiver.count(3).await.remove(2);
    assert_eq!(again.header("webhook-id"), waited.header("webhook-id"));
    assert!(again.is_signed_with(&old) && again.is_signed_with(&rotated["secret"]));
    // An event that it is not told of, such as its own creation, is not sent to it by hand either.
    let own = json!({ "webhookId": id["webhookId"], "position": created["position"] });
    let refused = server.mutate(MERCHANT, "webhookRetry", "webhook { id }", own).await;
    assert_eq!(refused["userErrors"][0]["field"], json!(["position"]), "{refused}");

    let removed = server.done(MERCHANT, "webhookRemove", "webhook { id }", id.clone()).await;
    assert_eq!(removed["webhook"], Value::Null);
    for mutation in ["webhookResume", "webhookTest", "webhookSecretRotate"] {
        let selection = if mutation == "webhookTest" { "attempt { delivered }" } else { "webhook { id }" };
        let refused = server.mutate(MERCHANT, mutation, selection, id.clone()).await;
        assert_eq!(refused["userErrors"][0]["code"], "WEBHOOK_NOT_FOUND", "{mutation}: {refused}");
    }
    let listed = server.run(MERCHANT, "{ webhooks { totalCount nodes { id } } }", json!({})).await;
    assert_eq!(listed["data"]["webhooks"], json!({ "totalCount": 0, "nodes": [] }));
    server.running.shutdown().await;
    assert_eq!(receiver.messages.borrow().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_refused_inside_for_unknown_types_and_for_what_its_maker_may_not_see() {
    let server = Server::start().await;
    let create = |url: &str, types: &[&str]| json!({ "url": url, "types": types });
    for url in [
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "http://1.1.1.1/",
        "ftp://example.com/",
        "https://ana:secret@example.com/",
        "nonsense",
    ] {
        let refused = server.mutate(MERCHANT, "webhookCreate", "secret", create(url, &["order.placed"])).await;
        let error = &refused["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!("INVALID_URL"), &json!(["url"])), "{url}: {refused}");
        assert_eq!(refused["secret"], Value::Null);
    }
    let unknown = create("https://1.1.1.1/", &["order.placed", "order.eaten"]);
    let refused = server.mutate(MERCHANT, "webhookCreate", "secret", unknown).await;
    assert_eq!(refused["userErrors"][0]["code"], "INVALID_EVENT_TYPES", "{refused}");

    let mutation = "mutation($i: WebhookCreateInput!) { webhookCreate(input: $i) { secret userErrors { code } } }";
    for (role, types) in
        [(Role::Merchant, vec![]), (Role::Merchant, vec!["payment.captured"]), (Role::Finance, vec!["order.placed"])]
    {
        let answer = server.run(Some(role), mutation, json!({ "i": create("https://1.1.1.1/", &types) })).await;
        assert_eq!(code(&answer), "FORBIDDEN", "{role:?} {types:?}: {answer}");
    }
    let listed = server.run(MERCHANT, "{ webhooks { totalCount } webhookEventTypes }", json!({})).await;
    assert_eq!(listed["data"]["webhooks"]["totalCount"], 0);
    assert!(listed["data"]["webhookEventTypes"].as_array().unwrap().contains(&json!("order.placed")));

    // What an admin has told of payments, a merchant cannot turn to a server of their own.
    let admin = Some(Role::Admin);
    let all = server.done(admin, "webhookCreate", "webhook { id } secret", create("https://1.1.1.1/", &[])).await;
    let id = all["webhook"]["id"].clone();
    let mutation = "mutation($i: WebhookChangeInput!) { webhookChange(input: $i) { webhook { url } userErrors { code } } }";
    let turn = json!({ "webhookId": id, "url": "https://9.9.9.9/", "types": ["order.placed"] });
    assert_eq!(code(&server.run(MERCHANT, mutation, json!({ "i": turn })).await), "FORBIDDEN");
    let mutation = "mutation($i: WebhookSecretRotateInput!) { webhookSecretRotate(input: $i) { secret } }";
    assert_eq!(code(&server.run(MERCHANT, mutation, json!({ "i": { "webhookId": id } })).await), "FORBIDDEN");
    let changed = server.done(admin, "webhookChange", "webhook { url types }", turn).await;
    assert_eq!(changed["webhook"], json!({ "url": "https://9.9.9.9/", "types": ["order.placed"] }));
    server.done(admin, "webhookRemove", "webhook { id }", json!({ "webhookId": id })).await;
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_sets_up_one_webhook_and_shows_its_secret_once() {
    let server = open().await;
    let input =
        json!({ "url": "http://127.0.0.1:9/", "types": ["order.placed"], "idempotencyKey": "a-key-of-more-than-16-characters" });
    let first = server.done(MERCHANT, "webhookCreate", "webhook { id } secret", input.clone()).await;
    let again = server.done(MERCHANT, "webhookCreate", "webhook { id } secret", input).await;
    assert_eq!(first["webhook"]["id"], again["webhook"]["id"]);
    assert!(first["secret"].as_str().unwrap().starts_with("whsec_") && again["secret"].is_null(), "{again}");
    server.running.shutdown().await;
}
