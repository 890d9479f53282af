//! Guests, of whom each cart has a key of its own: what an erasure by one of their orders leaves, and what follows it.

use api::access::Role;
use serde_json::{Value, json};

use crate::{
    server::Server,
    shop::{full_cart, home, paid_order, tea},
};

const PERSON: &str = "person { ids state } warnings { code message }";

/// Two guests' orders under the address that `paid_order` gives.
async fn two_orders(server: &Server) -> [Value; 2] {
    tea(server, "TEA-100", "4.50", "EUR", 50).await;
    let first = paid_order(server, "TEA-100", 1).await["order"]["id"].clone();
    [first, paid_order(server, "TEA-100", 1).await["order"]["id"].clone()]
}

async fn erase(server: &Server, person: Value) -> Value {
    server.done(Some(Role::Admin), "personErase", PERSON, json!({ "person": person, "reason": "case 9" })).await
}

async fn email_of(server: &Server, order: &Value) -> Value {
    let query = "query($id: ID!) { order(id: $id) { email } }";
    server.run(Some(Role::Admin), query, json!({ "id": order })).await["data"]["order"]["email"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_erases_a_guest_by_an_order_is_told_of_other_keys_under_the_address() {
    let server = Server::start().await;
    let [first, second] = two_orders(&server).await;
    let erased = erase(&server, json!({ "orderId": first })).await;
    let [warning] = erased["warnings"].as_array().unwrap().as_slice() else { panic!("{erased}") };
    assert_eq!(warning["code"], "SAME_ADDRESS_KEPT");
    assert!(warning["message"].as_str().unwrap().starts_with("1 other key is kept"), "{warning}");
    assert_eq!((email_of(&server, &first).await, email_of(&server, &second).await), (Value::Null, json!("ana@example.com")));
    // By the address, all that is left is found, and nothing is left to be told of.
    let rest = erase(&server, json!({ "email": "ana@example.com" })).await;
    assert_eq!((&rest["warnings"], &rest["person"]["state"]), (&json!([]), &json!("ERASED")), "{rest}");
    assert_eq!(email_of(&server, &second).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_erased_guest_nothing_is_written_or_kept_any_more() {
    let server = Server::start().await;
    let [order, _] = two_orders(&server).await;
    let note = json!({ "orderId": order, "note": "Ana called.", "idempotencyKey": "the note of the first call" });
    let noted = server.done(Some(Role::Support), "orderNoteAdd", "position", note.clone()).await;
    erase(&server, json!({ "orderId": order })).await;
    let again = server.done(Some(Role::Support), "orderNoteAdd", "position", note).await;
    assert_eq!(again["position"], noted["position"], "what was carried out before is answered as it was then");
    let asks = [
        (
            Role::Support,
            "orderNoteAdd",
            json!({ "orderId": order, "note": "Ana called.", "idempotencyKey": "another note, of later" }),
        ),
        (Role::Admin, "reviewSubmit", json!({ "orderId": order, "rating": 4, "title": "Ana says" })),
    ];
    for (role, mutation, input) in asks {
        let refused = server.mutate(Some(role), mutation, "position", input).await;
        assert_eq!(refused["userErrors"][0]["code"], "PERSON_ERASED", "{mutation}: {refused}");
    }
    let person = "query($o: ID) { person(orderId: $o) { ids state } }";
    let told = server.run(Some(Role::Admin), person, json!({ "o": order })).await["data"]["person"].clone();
    assert_eq!((told["ids"].as_array().map(Vec::len), &told["state"]), (Some(1), &json!("ERASED")), "{told}");
    let hold = json!({ "person": { "orderId": order }, "name": "case 10", "reason": "a lawsuit" });
    let refused = server.mutate(Some(Role::Admin), "legalHoldPlace", "position", hold).await;
    assert_eq!(refused["userErrors"][0]["code"], "PERSON_ERASED", "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_what_was_erased_is_no_look_at_a_person() {
    let server = Server::start().await;
    let [erased, kept] = two_orders(&server).await;
    erase(&server, json!({ "orderId": erased })).await;
    let looks = "query($a: ID!, $b: ID!) { \
        erased: order(id: $a) { email shippingAddress { city } history(first: 5) { nodes { change } } } \
        kept: order(id: $b) { email } }";
    let seen = server.run(Some(Role::Support), looks, json!({ "a": erased, "b": kept })).await;
    assert_eq!((&seen["data"]["erased"]["email"], &seen["data"]["kept"]["email"]), (&Value::Null, &json!("ana@example.com")));
    let entries = server.entries_of("support", 1).await;
    let [entry] = entries.as_slice() else { panic!("only what could be seen is written down: {entries:?}") };
    assert_eq!(entry["fields"], json!(["email"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_of_a_cart_is_entered_again_part_by_part_before_it_is_bought() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 5).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let erased = erase(&server, json!({ "email": "ana@example.com" })).await;
    assert_eq!(erased["person"]["state"], "ERASED", "{erased}");
    let checkout = async || server.mutate(None, "cartCheckout", "order { id }", json!({ "cartId": cart })).await;
    assert_eq!(checkout().await["userErrors"][0]["code"], "EMAIL_REQUIRED");
    let email = json!({ "cartId": cart, "email": "ben@example.com" });
    server.done(None, "cartUpdate", "cart { email }", email).await;
    assert_eq!(checkout().await["userErrors"][0]["code"], "SHIPPING_ADDRESS_REQUIRED", "nobody can read the old one");
    server.done(None, "cartUpdate", "cart { email }", json!({ "cartId": cart, "shippingAddress": home() })).await;
    let bought = checkout().await;
    assert!(bought["order"]["id"].is_string() && bought["userErrors"] == json!([]), "{bought}");
}
