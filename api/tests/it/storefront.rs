//! A guest buys: from the catalog to a confirmed payment, and what forbids it.

use std::time::Duration;

use api::access::Role;
use serde_json::json;

use crate::{
    server::Server,
    shop::{ORDER, full_cart, home, paid_order, tea},
};

#[tokio::test]
async fn a_guest_fills_a_cart_checks_out_and_pays() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let listed = server
        .ask(
            "{ products { totalCount nodes { title variants { sku price(currency: \"EUR\") { amount } \
                              availability { inStock available } } } } }",
        )
        .await;
    let variant =
        json!({ "sku": "TEA-100", "price": { "amount": "4.50" }, "availability": { "inStock": true, "available": 10 } });
    assert_eq!(
        listed["data"]["products"],
        json!({ "totalCount": 1, "nodes": [{ "title": "Tea TEA-100", "variants": [variant] }] })
    );

    let created = server.done(None, "cartCreate", "cart { id state currency }", json!({ "currency": "EUR" })).await;
    let cart = created["cart"]["id"].clone();
    let line =
        "cart { quantity subtotal { gross { amountMinor } } lines { quantity variant { sku } total { gross { amountMinor } } } }";
    let add = json!({ "cartId": cart, "lines": [{ "sku": "TEA-100", "quantity": 3 }] });
    let added = server.done(None, "cartLinesAdd", line, add).await;
    assert_eq!(
        added["cart"]["lines"][0],
        json!({ "quantity": 3, "variant": { "sku": "TEA-100" }, "total": { "gross": { "amountMinor": 1350 } } })
    );
    let update = json!({ "cartId": cart, "lines": [{ "sku": "TEA-100", "quantity": 2 }] });
    let updated = server.done(None, "cartLinesUpdate", line, update).await;
    assert_eq!(updated["cart"]["subtotal"]["gross"]["amountMinor"], 900);
    let details = json!({ "cartId": cart, "email": "ana@example.com", "shippingAddress": home(), "shippingMethod": "standard" });
    let detailed = server
        .done(None, "cartUpdate", "cart { shippingAddress { city } shippingMethods { code price { amount } } }", details)
        .await;
    assert_eq!(detailed["cart"]["shippingMethods"], json!([{ "code": "standard", "price": { "amount": "4.90" } }]));

    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    assert_eq!(placed["order"]["status"], "PENDING");
    assert_eq!(placed["order"]["total"]["gross"], json!({ "amountMinor": 1390, "currency": "EUR", "amount": "13.90" }));
    assert_eq!(
        placed["payment"],
        json!({ "id": placed["payment"]["id"], "status": "OPENED", "amount": { "amountMinor": 1390 } })
    );
    let confirm = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok" });
    let paid = server.done(None, "paymentConfirm", "payment { status captured { amountMinor } } order { status }", confirm).await;
    assert_eq!(
        (&paid["payment"], &paid["order"]["status"]),
        (&json!({ "status": "CAPTURED", "captured": { "amountMinor": 1390 } }), &json!("PAID"))
    );
    let seen = server.run(None, "query($id: ID!) { cart(id: $id) { state order { number } } }", json!({ "id": cart })).await;
    assert_eq!(seen["data"]["cart"], json!({ "state": "CHECKED_OUT", "order": { "number": placed["order"]["number"] } }));
}

#[tokio::test]
async fn a_customer_finds_their_own_orders_and_only_they_can_review_them() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let bearer = |name: &str| format!("Bearer {}", server.token_of(name, Duration::from_secs(60)));
    let (ana, eve) = (bearer("ana"), bearer("eve"));
    let (ana, eve) = ([("authorization", ana.as_str())], [("authorization", eve.as_str())]);
    let lines = json!([{ "sku": "TEA-100", "quantity": 1 }]);
    let cart = server.mutate_with(None, "cartCreate", "cart { id }", json!({ "lines": lines }), &ana).await["cart"]["id"].clone();
    let details = json!({ "cartId": cart, "email": "ana@example.com", "shippingAddress": home(), "shippingMethod": "standard" });
    server.mutate_with(None, "cartUpdate", "cart { id }", details, &ana).await;
    let placed = server.mutate_with(None, "cartCheckout", ORDER, json!({ "cartId": cart }), &ana).await;
    let confirm = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok" });
    server.mutate_with(None, "paymentConfirm", "payment { status }", confirm, &ana).await;
    let mine = "{ me { actor orders { totalCount nodes { id customerId } } } }";
    let seen = server.send(None, mine, json!({}), &ana).await["data"]["me"].clone();
    let order = json!({ "id": placed["order"]["id"], "customerId": "ana" });
    assert_eq!(seen, json!({ "actor": "customer:ana", "orders": { "totalCount": 1, "nodes": [order] } }));
    assert_eq!(server.send(None, mine, json!({}), &eve).await["data"]["me"]["orders"]["totalCount"], 0);
    assert_eq!(server.ask(mine).await["data"]["me"]["orders"]["nodes"], json!([]));
    let review = json!({ "orderId": placed["order"]["id"], "rating": 4 });
    let by_eve = server.mutate_with(None, "reviewSubmit", "review { id }", review.clone(), &eve).await;
    assert_eq!(by_eve["userErrors"][0]["code"], "ORDER_NOT_FOUND", "to her it is not there");
    let by_staff = server.mutate(Some(Role::Support), "reviewSubmit", "review { id }", review.clone()).await;
    assert_eq!(by_staff["userErrors"][0]["code"], "NOT_THE_BUYER");
    assert_eq!(server.mutate_with(None, "reviewSubmit", "review { rating }", review, &ana).await["review"]["rating"], 4);
}

#[tokio::test]
async fn what_cannot_be_sold_is_refused_by_name_with_what_is_left() {
    let server = Server::start().await;
    tea(&server, "RARE", "9.00", "EUR", 2).await;
    let cart = full_cart(&server, "RARE", 3, "EUR").await;
    let refused = server.mutate(None, "cartCheckout", "order { id }", json!({ "cartId": cart })).await;
    assert_eq!(refused["order"], json!(null));
    let error = &refused["userErrors"][0];
    assert_eq!((&error["__typename"], &error["code"]), (&json!("InsufficientStock"), &json!("INSUFFICIENT_STOCK")));
    assert_eq!((&error["sku"], &error["available"], &error["requested"]), (&json!("RARE"), &json!(2), &json!(3)));
}

#[tokio::test]
async fn a_declined_payment_leaves_the_order_to_be_paid_otherwise() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    let confirm = |token: &str| json!({ "paymentId": placed["payment"]["id"], "token": token });
    let shown = "payment { status decline { code } actionUrl } order { status }";
    let declined = server.done(None, "paymentConfirm", shown, confirm("sandbox_decline")).await;
    assert_eq!(declined["payment"]["decline"]["code"], "insufficient_funds");
    assert_eq!((&declined["payment"]["status"], &declined["order"]["status"]), (&json!("DECLINED"), &json!("PENDING")));
    let acting = server.done(None, "paymentConfirm", shown, confirm("sandbox_action")).await;
    assert_eq!(acting["payment"]["status"], "ACTION_REQUIRED");
    let paid = server.done(None, "paymentConfirm", shown, confirm("sandbox_twice")).await;
    assert_eq!((&paid["payment"]["status"], &paid["order"]["status"]), (&json!("CAPTURED"), &json!("PAID")));
}

#[tokio::test]
async fn products_changed_or_archived_later_never_change_an_order() {
    let server = Server::start().await;
    let product = tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let bought = paid_order(&server, "TEA-100", 2).await;
    let merchant = Some(api::access::Role::Merchant);
    let id = &product["id"];
    server
        .done(merchant, "productUpdate", "product { title }", json!({ "productId": id, "title": "Other", "slug": "other" }))
        .await;
    let price = json!({ "price": { "amountMinor": 999, "currency": "EUR" } });
    let input = json!({ "productId": id, "variantId": product["variants"][0]["id"], "price": price });
    server.done(merchant, "variantPriceSet", "product { id }", input).await;
    server.done(merchant, "productArchive", "product { state }", json!({ "productId": id, "reason": "sold out" })).await;
    let query = "query($id: ID!) { order(id: $id) { lines { sku quantity title total { gross { amountMinor } } } } }";
    let after = server.run(None, query, json!({ "id": bought["order"]["id"] })).await;
    assert_eq!(after["data"]["order"]["lines"], bought["order"]["lines"]);
    assert_eq!(server.ask("{ products { totalCount } }").await["data"]["products"]["totalCount"], 0);
}

#[tokio::test]
async fn a_product_taken_off_sale_is_not_shown_to_shoppers_by_way_of_its_variant_either() {
    let server = Server::start().await;
    let product = tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let query = "query($id: ID!) { cart(id: $id) { lines { variant { product { title } } } } }";
    let shown = async |role| {
        let answer = server.run(role, query, json!({ "id": cart })).await;
        answer["data"]["cart"]["lines"][0]["variant"]["product"].clone()
    };
    assert_eq!(shown(None).await, json!({ "title": "Tea TEA-100" }));
    let merchant = Some(api::access::Role::Merchant);
    let input = json!({ "productId": product["id"], "reason": "sold out" });
    server.done(merchant, "productArchive", "product { state }", input).await;
    assert_eq!(shown(None).await, json!(null));
    assert_eq!(shown(merchant).await, json!({ "title": "Tea TEA-100" }));
}

#[tokio::test]
async fn every_currency_exponent_comes_out_to_the_minor_unit() {
    let server = Server::start().await;
    for (currency, price, shipping, total) in [
        ("JPY", "1234", 800, "4502"),
        ("EUR", "12.34", 490, "41.92"),
        ("KWD", "1.234", 1_500, "5.202"),
        ("CLF", "0.1234", 1_300, "0.5002"),
    ] {
        tea(&server, &format!("IN-{currency}"), price, currency, 10).await;
        let cart = full_cart(&server, &format!("IN-{currency}"), 3, currency).await;
        let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
        let gross = &placed["order"]["total"]["gross"];
        let units: i64 = price.replace('.', "").parse().unwrap();
        assert_eq!(gross["amountMinor"], units * 3 + shipping, "{currency}");
        assert_eq!(gross["amount"], total, "{currency}");
        let confirm = json!({ "paymentId": placed["payment"]["id"], "token": "sandbox_ok" });
        let paid =
            server.done(None, "paymentConfirm", "payment { captured { amount exponent } } order { status }", confirm).await;
        assert_eq!((&paid["payment"]["captured"]["amount"], &paid["order"]["status"]), (&json!(total), &json!("PAID")));
    }
}

#[tokio::test]
async fn facets_count_what_a_list_of_products_could_be_narrowed_by() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    tea(&server, "POT-1", "29.90", "EUR", 10).await;
    let query = "{ productFacets(currency: \"EUR\") { prices { from { amount } products } }
        pots: productFacets(filter: { text: \"POT-1\" }, currency: \"EUR\") { prices { products } categories { products } } }";
    let answer = server.ask(query).await;
    assert_eq!(answer["data"]["productFacets"]["prices"][0], json!({ "from": { "amount": "4.50" }, "products": 1 }));
    assert_eq!(answer["data"]["productFacets"]["prices"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["data"]["pots"], json!({ "prices": [{ "products": 1 }], "categories": [] }));
}
