//! Positions and moments: reading one's own writes, what happened, and how things were.

use api::access::Role;
use serde_json::json;

use crate::{
    server::{Server, code, parts},
    shop::{paid_order, tea},
};

#[tokio::test]
async fn an_answer_says_how_fresh_it_is_and_waits_for_the_position_that_is_asked_for() {
    let server = Server::start().await;
    let created = server.done(None, "cartCreate", "cart { id }", json!({})).await;
    let position = created["position"].as_u64().unwrap();
    let query = "query($id: ID!) { cart(id: $id) { state } }";
    let header = [("daybook-min-position", position.to_string())];
    let header = header.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = server.send(None, query, json!({ "id": created["cart"]["id"] }), &header).await;
    assert_eq!(answer["data"]["cart"]["state"], "OPEN");
    assert!(answer["extensions"]["daybook"]["position"].as_u64().unwrap() >= position);
    assert!(answer["extensions"]["daybook"]["lagMs"].is_u64());
    let body = json!({ "query": "{ me { role } }", "extensions": { "minPosition": position + 1_000 } });
    let (_, _, answer) = parts(server.post(body.to_string()).send().await.unwrap()).await;
    assert_eq!((code(&answer), answer.get("data")), ("NOT_YET_VISIBLE", None));
}

#[tokio::test]
async fn staff_see_what_happened_to_an_order_and_how_it_was_at_each_moment() {
    let server = Server::start().await;
    let product = tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let bought = paid_order(&server, "TEA-100", 2).await;
    let id = &bought["order"]["id"];
    let query = "query($id: ID!) { order(id: $id) { history { totalCount nodes { position type actor recordedAt change } } } }";
    let answer = server.run(Some(Role::Support), query, json!({ "id": id })).await;
    let history = answer["data"]["order"]["history"]["nodes"].as_array().unwrap().clone();
    let types: Vec<_> = history.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["OrderPlaced", "OrderPaymentReceived"]);
    assert_eq!((&history[0]["actor"], &history[1]["actor"]), (&json!("customer"), &json!("process:orders")));
    assert_eq!(history[0]["change"]["currency"], "EUR");

    let placed = &history[0]["position"];
    let shown = "status paymentStatus lines { sku } payments { status captured { amountMinor } }";
    let query = format!(
        "query($id: ID!, $p: Long) {{ now: order(id: $id) {{ {shown} }} then: order(id: $id, asOf: {{ position: $p }}) {{ {shown} }} \
                         before: order(id: $id, asOf: {{ position: 1 }}) {{ {shown} }} }}"
    );
    let answer = server.run(None, &query, json!({ "id": id, "p": placed })).await["data"].clone();
    assert_eq!(
        (&answer["now"]["status"], &answer["then"]["status"], &answer["before"]),
        (&json!("PAID"), &json!("PENDING"), &json!(null))
    );
    assert_eq!(answer["then"]["lines"], json!([{ "sku": "TEA-100" }]));

    let update = json!({ "productId": product["id"], "title": "Renamed" });
    let renamed = server.done(Some(Role::Merchant), "productUpdate", "product { title }", update).await;
    let query = "query($id: ID!, $p: Long, $at: DateTime) { then: product(id: $id, asOf: { position: $p }) { title variants { sku prices { price { amount } } } } \
                 at: product(id: $id, asOf: { at: $at }) { title } stock(sku: \"TEA-100\", asOf: { position: $p }) { committed history { totalCount } } \
                 bad: product(id: $id, asOf: {}) { title } }";
    let before = renamed["position"].as_u64().unwrap() - 1;
    let answer =
        server.run(Some(Role::Merchant), query, json!({ "id": product["id"], "p": before, "at": "2000-01-01T00:00:00Z" })).await;
    assert_eq!(
        answer["data"]["then"],
        json!({ "title": "Tea TEA-100", "variants": [{ "sku": "TEA-100", "prices": [{ "price": { "amount": "4.50" } }] }] })
    );
    assert_eq!((&answer["data"]["at"], &answer["data"]["stock"]["committed"]), (&json!(null), &json!(2)));
    assert_eq!(code(&answer), "BAD_USER_INPUT");
    for position in [-1, 1_000_000] {
        let query = "query($id: ID!, $p: Long) { product(id: $id, asOf: { position: $p }) { title } }";
        let answer = server.run(Some(Role::Merchant), query, json!({ "id": product["id"], "p": position })).await;
        assert_eq!((code(&answer), &answer["data"]["product"]), ("BAD_USER_INPUT", &json!(null)), "{position}");
    }
}

#[tokio::test]
async fn auditors_read_the_log_and_its_streams_in_order() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let auditor = Some(Role::Auditor);
    let query = "{ log { head } events(first: 3) { totalCount pageInfo { hasNextPage endCursor } nodes { position type stream } } \
                 projections { name state lag } stream(id: \"stock/TEA-100@main\") { nodes { type } } }";
    let answer = server.run(auditor, query, json!({})).await["data"].clone();
    let positions: Vec<_> =
        answer["events"]["nodes"].as_array().unwrap().iter().map(|event| event["position"].as_i64().unwrap()).collect();
    assert_eq!((positions, &answer["events"]["totalCount"]), (vec![1, 2, 3], &answer["log"]["head"]));
    assert_eq!(answer["stream"]["nodes"], json!([{ "type": "StockReceived" }]));
    assert!(answer["projections"].as_array().unwrap().iter().all(|projection| projection["state"] == "LIVE"));
    let query = "query($a: String) { events(first: 100, after: $a, types: [\"StockReceived\"]) { nodes { position } } }";
    let rest = server.run(auditor, query, json!({ "a": answer["events"]["pageInfo"]["endCursor"] })).await;
    assert_eq!(rest["data"]["events"]["nodes"], json!([{ "position": answer["log"]["head"] }]));
}
