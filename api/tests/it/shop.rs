//! A shop with something to buy, and how a guest buys it.

use api::access::Role;
use serde_json::{Value, json};

use crate::server::Server;

/// A published product with one variant, its price, and units of it on the shelf.
pub async fn tea(server: &Server, sku: &str, price: &str, currency: &str, units: u32) -> Value {
    let merchant = Some(Role::Merchant);
    let product = json!({
        "title": format!("Tea {sku}"), "slug": sku.to_lowercase(), "description": "Green",
        "variants": [{ "sku": sku, "name": "100 g", "weightGrams": 120,
            "prices": [{ "price": { "amount": price, "currency": currency } }] }],
    });
    let created = server.done(merchant, "productCreate", "product { id slug variants { id sku } }", product).await;
    let id = created["product"]["id"].clone();
    server.done(merchant, "productPublish", "product { state }", json!({ "productId": id })).await;
    server.done(merchant, "stockReceive", "stock { onHand }", json!({ "sku": sku, "quantity": units })).await;
    created["product"].clone()
}

/// Where parcels go.
pub fn home() -> Value {
    json!({ "name": "Ana Ruiz", "line1": "Calle Mayor 1", "city": "Madrid", "postalCode": "28013", "country": "ES" })
}

/// A guest's cart with units of a SKU, ready to be checked out.
pub async fn full_cart(server: &Server, sku: &str, quantity: u32, currency: &str) -> String {
    let lines = json!([{ "sku": sku, "quantity": quantity }]);
    let created = server.done(None, "cartCreate", "cart { id }", json!({ "currency": currency, "lines": lines })).await;
    let cart = created["cart"]["id"].as_str().unwrap().to_owned();
    let details = json!({ "cartId": cart, "email": "ana@example.com", "shippingAddress": home(), "shippingMethod": "standard" });
    server.done(None, "cartUpdate", "cart { email }", details).await;
    cart
}

/// What a checkout answers.
pub const ORDER: &str = "order { id number status total { net { amountMinor } tax { amountMinor } gross { amountMinor currency amount } } \
                         lines { sku quantity title total { gross { amountMinor } } } } payment { id status amount { amountMinor } }";

/// An order of a guest, paid.
pub async fn paid_order(server: &Server, sku: &str, quantity: u32) -> Value {
    let cart = full_cart(server, sku, quantity, "EUR").await;
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    let input = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok" });
    let confirmed = server.done(None, "paymentConfirm", "payment { id status } order { id status }", input).await;
    assert_eq!(confirmed["order"]["status"], "PAID", "{confirmed}");
    json!({ "order": placed["order"], "payment": confirmed["payment"] })
}
