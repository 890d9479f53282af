//! Events that today's code does not write: of the future, which it cannot read, and of the past, which mean nothing any more.
//! The API shows both as they were written.

use api::access::Role;
use event_schemas::{Proposed, StreamId, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    server::{Server, code},
    shop::tea,
};

/// Puts an event at the end of a stream, as another version of Daybook would.
async fn write(folder: &std::path::Path, stream: StreamId, event_type: &'static str, event_version: u32, payload: &str) {
    let log = event_store::open(&format!("sqlite:{}", folder.join("events.db").display())).await.unwrap();
    let (head, before) = (log.head().await.unwrap(), log.read_stream(&stream, 0, 1_000).await.unwrap());
    let at: Timestamp = head.recorded_at.unwrap();
    let event = Proposed {
        event_id: Uuid::now_v7(),
        sequence: before.len() as u64 + 1,
        stream,
        event_type: event_type.into(),
        event_version,
        payload: payload.to_owned(),
        metadata: format!(r#"{{"actor":"merchant:ana","command_id":"{}"}}"#, Uuid::nil()),
        recorded_at: at,
        occurred_at: at,
        idempotency_scope: None,
    };
    log.append(head.position, vec![event]).await.unwrap();
}

async fn shown(server: &Server, types: Value) -> Value {
    let query = "query($t: [String!]) { events(first: 5, types: $t) { nodes { position stream type version actor change } } }";
    server.run(Some(Role::Auditor), query, json!({ "t": types })).await["data"]["events"]["nodes"].clone()
}

#[tokio::test]
async fn an_event_that_means_nothing_any_more_is_shown_and_the_views_go_past_it() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    let account = StreamId::new("account", Uuid::from_u128(7));
    write(folder.path(), account.clone(), "AccountLocked", 1, r#"{"until":"2026-11-21T10:15:00Z"}"#).await;
    let server = Server::reopen(folder).await;
    let locked = shown(&server, json!(["AccountLocked"])).await;
    assert_eq!((&locked[0]["stream"], &locked[0]["version"]), (&json!(account.to_string()), &json!(1)), "{locked}");
    assert_eq!(locked[0]["change"], json!({ "until": "2026-11-21T10:15:00Z" }));
    // What happens behind it is seen.
    let received = json!({ "sku": "TEA-100", "quantity": 7 });
    let received = server.done(Some(Role::Merchant), "stockReceive", "stock { onHand }", received).await;
    assert_eq!(received["stock"]["onHand"], json!(57), "{received}");
}

#[tokio::test]
async fn an_event_of_the_future_is_shown_and_what_would_have_to_understand_it_stops() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    let (stream, payload) = (StreamId::new("stock", "TEA-100@main"), json!({ "sku": "TEA-100", "by": ["a", "b"] }));
    write(folder.path(), stream.clone(), "StockHallmarked", 3, &payload.to_string()).await;
    let server = Server::reopen(folder).await;
    let seen = shown(&server, json!(["StockHallmarked"])).await;
    assert_eq!((&seen[0]["version"], &seen[0]["actor"]), (&json!(3), &json!("merchant:ana")), "{seen}");
    assert_eq!(seen[0]["change"], payload);
    let query = "query($id: String!) { stream(id: $id, last: 1) { nodes { type change } } }";
    let last = server.run(Some(Role::Auditor), query, json!({ "id": stream.to_string() })).await;
    assert_eq!(last["data"]["stream"]["nodes"][0], json!({ "type": "StockHallmarked", "change": payload }), "{last}");
    // Nobody decides upon a stream that is only half understood, and nothing is skipped.
    let receive = "mutation($i: StockReceiveInput!) { stockReceive(input: $i) { userErrors { code } } }";
    let input = json!({ "i": { "sku": "TEA-100", "quantity": 1 } });
    let refused = server.run(Some(Role::Merchant), receive, input).await;
    assert_eq!(code(&refused), "INTERNAL", "{refused}");
    // The shop as it was before goes on being served.
    let products = server.run(None, "{ products(first: 5) { nodes { title } } }", json!({})).await;
    assert_eq!(products["data"]["products"]["nodes"][0]["title"], "Tea TEA-100", "{products}");
}
