//! Keys of persons: what somebody types names nobody, and what staff enter for others is not about themselves.

use api::access::Role;
use serde_json::{Value, json};

use crate::{
    server::Server,
    shop::{ORDER, full_cart, home, paid_order, tea},
};

async fn person_of(server: &Server, order: &Value) -> Value {
    let asked = "query($o: ID) { person(orderId: $o) { ids data } }";
    let answer = server.run(Some(Role::Admin), asked, json!({ "o": order })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["person"].clone()
}

async fn email(server: &Server, order: &Value) -> Value {
    let asked = "query($o: ID!) { node(id: $o) { ... on Order { email history(first: 50) { nodes { change } } } } }";
    let answer = server.run(Some(Role::Admin), asked, json!({ "o": order })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["node"]["email"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_only_looks_sealed_erases_nobody_and_is_shown_as_it_was_typed() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let neighbours = paid_order(&server, "TEA-100", 1).await["order"]["id"].clone();
    let neighbour = person_of(&server, &neighbours).await["ids"][0].as_str().unwrap().to_owned();
    let typed = format!("sealed:1:{neighbour}:AAAA");
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    let eves = placed["order"]["id"].clone();
    let input = json!({ "paymentId": placed["payment"]["id"], "token": typed });
    server.mutate(None, "paymentConfirm", "payment { id }", input).await;
    let reason = json!({ "orderId": eves, "reason": typed });
    server.done(Some(Role::Support), "orderCancel", "order { status }", reason).await;

    let eve = person_of(&server, &eves).await;
    assert_eq!(eve["ids"].as_array().map(Vec::len), Some(1), "{eve}");
    assert!(eve["ids"][0] != neighbour.as_str() && eve["data"].to_string().contains(&typed), "{eve}");
    assert_eq!(email(&server, &eves).await, "ana@example.com");
    let input = json!({ "person": { "orderId": eves }, "reason": "case 1" });
    server.done(Some(Role::Admin), "personErase", "person { state }", input).await;
    assert_eq!(email(&server, &eves).await, Value::Null);
    assert_eq!(email(&server, &neighbours).await, "ana@example.com", "nobody else is touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_staff_make_for_somebody_is_not_sealed_as_their_own() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 50).await;
    let admin = server.admin().await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let input = json!({ "currency": "EUR", "lines": [{ "sku": "TEA-100", "quantity": 1 }] });
        let cart = server.mutate_as(&admin, "cartCreate", "CartCreateInput", "cart { id }", input).await["cart"]["id"].clone();
        let input =
            json!({ "cartId": cart, "email": "ana@example.com", "shippingAddress": home(), "shippingMethod": "standard" });
        server.mutate_as(&admin, "cartUpdate", "CartUpdateInput", "cart { id }", input).await;
        let input = json!({ "cartId": cart });
        let placed = server.mutate_as(&admin, "cartCheckout", "CartCheckoutInput", ORDER, input).await;
        let person = "query($o: ID) { person(orderId: $o) { ids customerIds } }";
        let found = server.run(Some(Role::Admin), person, json!({ "o": placed["order"]["id"] })).await["data"]["person"].clone();
        assert_eq!(found["customerIds"], json!([]), "{found}");
        assert_eq!(found["ids"].as_array().map(Vec::len), Some(1), "{found}");
        keys.push(found["ids"].clone());
    }
    assert_ne!(keys[0], keys[1], "each buyer has a key of their own");
}
