//! Any one thing as it was: by position, by what was recorded, by what had happened; and its history in words.

use std::path::Path;

use api::access::Role;
use event_schemas::{
    CategoryCreated, CategoryEvent, CategoryId, CategoryMoved, CategoryRenamed, CommerceEvent, OrderId, Proposed, ReviewEvent,
    ReviewId, ReviewSubmitted, StreamId, Timestamp,
};
use event_store::{Log, SqliteLog};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    server::{Server, code},
    shop::{full_cart, paid_order, tea},
};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A log with a past that was recorded in one go on the first of March 2026, years after it happened.
async fn imported(folder: &Path) {
    let ids: [Uuid; 3] = [1, 2, 3].map(Uuid::from_u128);
    let (tea, green) = (CategoryId(ids[0]), CategoryId(ids[1]));
    let category = |id: CategoryId, event: CategoryEvent| (StreamId::new("category", id), CommerceEvent::from(event));
    let created = |id, name: &str| CategoryCreated {
        category_id: id,
        name: name.to_owned(),
        slug: name.to_lowercase().parse().unwrap(),
        parent_id: None,
    };
    let review = ReviewSubmitted {
        review_id: ReviewId(ids[2]),
        order_id: OrderId(ids[2]),
        customer_id: None,
        rating: 4,
        title: None,
        comment: None,
    };
    let history = [
        ("2020-01-01T00:00:00Z", category(tea, created(tea, "Tea").into())),
        ("2020-02-01T00:00:00Z", category(green, created(green, "Green").into())),
        ("2021-01-01T00:00:00Z", category(green, CategoryMoved { parent_id: Some(tea) }.into())),
        (
            "2022-01-01T00:00:00Z",
            category(tea, CategoryRenamed { name: "Leaves".to_owned(), slug: "leaves".parse().unwrap() }.into()),
        ),
        ("2021-06-01T00:00:00Z", (StreamId::new("review", ids[2]), ReviewEvent::from(review).into())),
    ];
    let mut sequences = std::collections::BTreeMap::new();
    let events = history.into_iter().enumerate().map(|(number, (occurred, (stream, event)))| {
        let sequence = sequences.entry(stream.clone()).or_insert(0);
        *sequence += 1;
        Proposed {
            event_id: Uuid::from_u128(100 + number as u128),
            stream,
            sequence: *sequence,
            event_type: event.event_type().into(),
            event_version: event.version(),
            payload: event.payload().unwrap(),
            metadata: json!({ "actor": "merchant:ana", "command_id": Uuid::from_u128(200 + number as u128) }).to_string(),
            recorded_at: time("2026-03-01T00:00:00Z"),
            occurred_at: time(occurred),
            idempotency_scope: None,
        }
    });
    let log = SqliteLog::open(&folder.join("events.db"), Default::default()).unwrap();
    log.append(0, events.collect()).await.unwrap();
}

async fn as_of(server: &Server, field: &str, moment: Value) -> Value {
    let query = format!("query($m: AsOf) {{ found: {field} }}");
    let answer = server.run(Some(Role::Admin), &query, json!({ "m": moment })).await;
    assert_eq!(answer.get("errors"), None, "{field}: {answer}");
    answer["data"]["found"].clone()
}

#[tokio::test]
async fn what_had_happened_and_what_was_known_are_told_apart() {
    let folder = TempDir::new().unwrap();
    imported(folder.path()).await;
    let server = Server::reopen(folder).await;
    let all = server.ask("{ categories { category { id name } } }").await;
    let id = |name: &str| {
        let found = all["data"]["categories"].as_array().unwrap().iter().find(|placed| placed["category"]["name"] == name);
        found.unwrap()["category"]["id"].as_str().unwrap().to_owned()
    };
    let (leaves, green) = (id("Leaves"), id("Green"));
    let category = |id: &str| format!("category(id: \"{id}\", asOf: $m) {{ name slug parent {{ name }} children {{ name }} }}");
    for (moment, expected) in [
        (json!({ "at": "2026-02-28T00:00:00Z" }), Value::Null),
        (
            json!({ "at": "2026-03-01T00:00:00Z" }),
            json!({ "name": "Leaves", "slug": "leaves", "parent": null, "children": [{ "name": "Green" }] }),
        ),
        (json!({ "occurredAt": "2019-12-31T00:00:00Z" }), Value::Null),
        (
            json!({ "occurredAt": "2020-03-01T00:00:00Z" }),
            json!({ "name": "Tea", "slug": "tea", "parent": null, "children": [] }),
        ),
        (
            json!({ "occurredAt": "2021-01-01T00:00:00Z" }),
            json!({ "name": "Tea", "slug": "tea", "parent": null, "children": [{ "name": "Green" }] }),
        ),
        (json!({ "position": 3 }), json!({ "name": "Tea", "slug": "tea", "parent": null, "children": [{ "name": "Green" }] })),
    ] {
        assert_eq!(as_of(&server, &category(&leaves), moment.clone()).await, expected, "{moment}");
    }
    let below = as_of(&server, &category(&green), json!({ "occurredAt": "2021-06-01T00:00:00Z" })).await;
    assert_eq!(below["parent"]["name"], "Tea", "the tree around it is that of the moment too");
    for (slug, moment, found) in [
        ("tea", "2021-06-01T00:00:00Z", true),
        ("leaves", "2021-06-01T00:00:00Z", false),
        ("leaves", "2022-01-01T00:00:00Z", true),
    ] {
        let field = format!("category(slug: \"{slug}\", asOf: $m) {{ id }}");
        assert_eq!(!as_of(&server, &field, json!({ "occurredAt": moment })).await.is_null(), found, "{slug} {moment}");
    }
    let reviews = server.run(Some(Role::Support), "{ reviews { nodes { id rating } } }", json!({})).await;
    let review = reviews["data"]["reviews"]["nodes"][0]["id"].as_str().unwrap().to_owned();
    for (field, moment, found) in [
        ("review", json!({ "occurredAt": "2021-05-31T00:00:00Z" }), false),
        ("review", json!({ "occurredAt": "2021-06-01T00:00:00Z" }), true),
        ("review", json!({ "position": 4 }), false),
        ("node", json!({ "position": 5 }), true),
    ] {
        let field = format!("{field}(id: \"{review}\", asOf: $m) {{ id }}");
        assert_eq!(!as_of(&server, &field, moment.clone()).await.is_null(), found, "{field} {moment}");
    }
}

#[tokio::test]
async fn a_cart_is_shown_with_the_lines_it_had_and_a_strangers_is_not_there() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    tea(&server, "TEA-200", "9.00", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let before = server.ask("{ log { head } }").await["data"]["log"]["head"].clone();
    let more = json!({ "cartId": cart, "lines": [{ "sku": "TEA-200", "quantity": 2 }] });
    server.done(None, "cartLinesAdd", "cart { quantity }", more).await;
    let shown = "quantity lines { sku quantity total { gross { amountMinor } } } subtotal { gross { amountMinor } } email";
    let field = format!("cart(id: \"{cart}\", asOf: $m) {{ {shown} }}");
    let then = as_of(&server, &field, json!({ "position": before })).await;
    assert_eq!(
        (&then["quantity"], &then["lines"][0]["sku"], then["lines"].as_array().unwrap().len()),
        (&json!(1), &json!("TEA-100"), 1)
    );
    assert_eq!((&then["subtotal"]["gross"]["amountMinor"], &then["email"]), (&json!(450), &json!("ana@example.com")));
    // The clocks of who asks and of the shop may differ by seconds.
    let from_now = |seconds| event_schemas::rfc3339(chrono::Utc::now() + chrono::TimeDelta::seconds(seconds));
    let now = as_of(&server, &field, json!({ "at": from_now(2) })).await;
    assert_eq!(now["lines"].as_array().unwrap().len(), 2, "{now}");
    assert!(as_of(&server, &field, json!({ "position": 1 })).await.is_null());
    for moment in
        [json!({}), json!({ "position": 1, "at": "2026-01-01T00:00:00Z" }), json!({ "position": before.as_i64().unwrap() + 99 })]
    {
        let query = format!("query($m: AsOf) {{ {field} }}");
        let answer = server.run(None, &query, json!({ "m": moment })).await;
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{moment}: {answer}");
    }
    for moment in [json!({ "at": from_now(60) }), json!({ "occurredAt": from_now(60) })] {
        let answer = server.run(None, &format!("query($m: AsOf) {{ {field} }}"), json!({ "m": moment })).await;
        let said = answer["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(code(&answer) == "BAD_USER_INPUT" && said.contains("which has not come yet"), "{moment}: {answer}");
    }

    let own = server.token_of("ana", std::time::Duration::from_secs(60));
    let query = "mutation { cartCreate(input: { currency: \"EUR\" }) { cart { id } position } }";
    let created = server.post(json!({ "query": query }).to_string()).header("authorization", format!("Bearer {own}"));
    let created: Value = created.send().await.unwrap().json().await.unwrap();
    let created = &created["data"]["cartCreate"];
    let query =
        "query($id: ID!, $p: Long) { cart(id: $id, asOf: { position: $p }) { id } node(id: $id, asOf: { position: $p }) { id } }";
    let variables = json!({ "id": created["cart"]["id"], "p": created["position"] });
    let answer = server.run(None, query, variables.clone()).await;
    assert_eq!(answer["data"], json!({ "cart": null, "node": null }));
    let answer = server.run(Some(Role::Support), query, variables).await;
    assert_eq!(answer["data"]["node"]["id"], created["cart"]["id"]);
}

#[tokio::test]
async fn history_reads_as_sentences() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let bought = paid_order(&server, "TEA-100", 2).await;
    let refund =
        json!({ "paymentId": bought["payment"]["id"], "amount": { "amount": "1.00", "currency": "EUR" }, "reason": "damaged" });
    server.done(Some(Role::Finance), "paymentRefund", "payment { status }", refund).await;
    let query = "query($id: ID!) { payment(id: $id) { history(first: 20) { nodes { type sentence } } } }";
    let answer = server.run(Some(Role::Finance), query, json!({ "id": bought["payment"]["id"] })).await;
    let nodes = answer["data"]["payment"]["history"]["nodes"].as_array().unwrap().clone();
    let said = |event_type: &str| {
        let node = nodes.iter().find(|node| node["type"] == event_type).unwrap_or_else(|| panic!("{event_type}: {answer}"));
        node["sentence"].as_str().unwrap().to_owned()
    };
    assert!(said("PaymentOpened").starts_with("a shopper opened payment "), "{}", said("PaymentOpened"));
    assert!(
        said("PaymentCaptured").starts_with("the process payments recorded that ")
            || said("PaymentCaptured").contains("was taken for payment")
    );
    let refunded = said("PaymentRefundRequested");
    assert!(
        refunded.starts_with("somebody (finance) refunded 1.00 EUR of payment ") && refunded.contains(", because ‘damaged’"),
        "{refunded}"
    );
}
