//! Staff, analysts and auditors: what follows an order, and what the books and the log say of it.

use api::access::Role;
use serde_json::{Value, json};

use crate::{
    server::{Server, code},
    shop::{paid_order, tea},
};

const MERCHANT: Option<Role> = Some(Role::Merchant);
const ADMIN: Option<Role> = Some(Role::Admin);

#[tokio::test]
async fn an_order_is_shipped_delivered_returned_and_refunded_and_the_books_balance() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let bought = paid_order(&server, "TEA-100", 2).await;
    let order = &bought["order"]["id"];
    let shown = "order { status fulfilmentStatus availableActions fulfilments { id tracking items { sku quantity } } }";
    let shipped = server.done(Some(Role::Fulfilment), "orderFulfil", shown, json!({ "orderId": order, "tracking": "T1" })).await;
    assert_eq!(shipped["order"]["status"], "SHIPPED");
    let parcel = &shipped["order"]["fulfilments"][0];
    assert_eq!((&parcel["tracking"], &parcel["items"]), (&json!("T1"), &json!([{ "sku": "TEA-100", "quantity": 2 }])));
    let deliver = json!({ "orderId": order, "fulfilmentId": parcel["id"] });
    let delivered = server.done(Some(Role::Fulfilment), "fulfilmentDeliver", shown, deliver).await;
    assert_eq!(delivered["order"]["status"], "DELIVERED");
    let back =
        json!({ "orderId": order, "items": [{ "sku": "TEA-100", "quantity": 1 }], "reason": "too green", "restock": "main" });
    let returned = server.done(Some(Role::Support), "orderReturn", "order { status returns { reason } }", back).await;
    assert_eq!(returned["order"], json!({ "status": "PARTIALLY_RETURNED", "returns": [{ "reason": "too green" }] }));
    let refund =
        json!({ "paymentId": bought["payment"]["id"], "amount": { "amount": "4.50", "currency": "EUR" }, "reason": "returned" });
    let refunded = server
        .done(
            Some(Role::Finance),
            "paymentRefund",
            "payment { status refunds { status amount { amount } } } order { paymentStatus }",
            refund,
        )
        .await;
    assert_eq!(
        refunded["payment"],
        json!({ "status": "PARTIALLY_REFUNDED", "refunds": [{ "status": "REFUNDED", "amount": { "amount": "4.50" } }] })
    );
    assert_eq!(refunded["order"]["paymentStatus"], "PARTIALLY_REFUNDED");
    let reviewed = server
        .done(None, "reviewSubmit", "review { rating title }", json!({ "orderId": order, "rating": 5, "title": "Good" }))
        .await;
    assert_eq!(reviewed["review"], json!({ "rating": 5, "title": "Good" }));

    let books = server
        .run(
            Some(Role::Finance),
            "{ trialBalance { currency balanced debit { amountMinor } accounts { account } } \
        journal(first: 100) { totalCount nodes { entry account debit { amountMinor } credit { amountMinor } } } }",
            json!({}),
        )
        .await;
    assert_eq!(books["data"]["trialBalance"][0]["balanced"], true);
    assert!(books["data"]["journal"]["totalCount"].as_i64().unwrap() > 6);
    let sales = server
        .run(
            Some(Role::Analyst),
            "{ sales(dimension: PRODUCT, currency: \"EUR\") { units returnedUnits gross { amountMinor } product { title } } \
        total: sales(grain: MONTH) { orders units gross { amountMinor } shipping { amountMinor } } anomalies { totalCount } }",
            json!({}),
        )
        .await;
    assert_eq!(
        sales["data"]["sales"],
        json!([{ "units": 2, "returnedUnits": 1, "gross": { "amountMinor": 900 }, "product": { "title": "Tea TEA-100" } }])
    );
    assert_eq!(
        sales["data"]["total"],
        json!([{ "orders": 1, "units": 2, "gross": { "amountMinor": 1390 }, "shipping": { "amountMinor": 490 } }])
    );
}

#[tokio::test]
async fn a_cancelled_order_gives_back_its_stock_and_its_money() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let bought = paid_order(&server, "TEA-100", 2).await;
    let input = json!({ "orderId": bought["order"]["id"], "reason": "the buyer called" });
    let cancelled = server.done(Some(Role::Support), "orderCancel", "order { status cancelReason }", input.clone()).await;
    assert_eq!(cancelled["order"], json!({ "status": "CANCELLED", "cancelReason": "the buyer called" }));
    let stock = server.run(ADMIN, "{ stock(sku: \"TEA-100\") { onHand reserved committed available } }", json!({})).await;
    assert_eq!(stock["data"]["stock"], json!({ "onHand": 10, "reserved": 0, "committed": 0, "available": 10 }));
    let again = server.mutate(Some(Role::Support), "orderCancel", "order { id }", input).await;
    assert_eq!(again["userErrors"][0]["code"], "WRONG_STATE");
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged_without_gap_or_repetition() {
    let server = Server::start().await;
    let category = server.done(MERCHANT, "categoryCreate", "category { id }", json!({ "name": "Teas", "slug": "teas" })).await;
    let child = json!({ "name": "Green", "slug": "green", "parentId": category["category"]["id"] });
    let green = server.done(MERCHANT, "categoryCreate", "category { id parent { slug } }", child).await["category"].clone();
    assert_eq!(green["parent"]["slug"], "teas");
    for (n, price) in [(1, "3.00"), (2, "1.00"), (3, "2.00"), (4, "5.00"), (5, "4.00")] {
        let product = tea(&server, &format!("T-{n}"), price, "EUR", 1).await;
        let change = json!({ "productId": product["id"], "categoryIds": if n < 4 { json!([green["id"]]) } else { json!([]) },
            "attributes": [{ "name": "season", "text": if n % 2 == 0 { "spring" } else { "autumn" } }] });
        server.done(MERCHANT, "productUpdate", "product { id }", change).await;
    }
    let listed = async |arguments: &str| -> Vec<String> {
        let answer = server.ask(&format!("{{ products({arguments}) {{ nodes {{ slug }} }} }}")).await;
        let nodes = answer["data"]["products"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
        nodes.iter().map(|node| node["slug"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("filter: { category: \"teas\" }, sort: { by: PRICE, currency: \"EUR\" }").await, ["t-2", "t-3", "t-1"]);
    assert_eq!(listed("filter: { category: \"nothing\" }").await, Vec::<String>::new());
    assert_eq!(listed("filter: { price: { currency: \"EUR\", fromMinor: 400 } }").await, ["t-4", "t-5"]);
    assert_eq!(listed("filter: { attributes: [{ name: \"season\", values: [\"spring\"] }] }").await, ["t-2", "t-4"]);
    assert_eq!(listed("filter: { text: \"tea t-3\" }").await, ["t-3"]);
    let all_gone = json!({ "sku": "T-5", "counted": 0 });
    server.done(MERCHANT, "stockCount", "stock { available }", all_gone).await;
    assert_eq!(listed("filter: { inStock: false }").await, ["t-5"]);
    assert_eq!(listed("sort: { by: TITLE, descending: true }, first: 2").await, ["t-5", "t-4"]);

    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let query = "query($a: String) { products(first: 2, after: $a) { totalCount pageInfo { hasNextPage endCursor } edges { node { slug } } } }";
        let page = server.run(None, query, json!({ "a": after })).await["data"]["products"].clone();
        assert_eq!(page["totalCount"], 5);
        seen.extend(page["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["slug"].as_str().unwrap().to_owned()));
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen, ["t-1", "t-2", "t-3", "t-4", "t-5"]);
    assert_eq!(listed("last: 2").await, ["t-4", "t-5"]);
    let tree = server.ask("{ categories { depth category { slug children { slug } } path { name } } }").await;
    assert_eq!(
        tree["data"]["categories"][1],
        json!({ "depth": 1, "category": { "slug": "green", "children": [] }, "path": [{ "name": "Teas" }, { "name": "Green" }] })
    );
}

#[tokio::test]
async fn coupons_take_their_share_and_end() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "10.00", "EUR", 10).await;
    let promotion = json!({ "name": "Spring", "code": "spring10", "percentOffPpm": 100_000, "usageLimit": 1 });
    let id = server.done(MERCHANT, "promotionCreate", "promotionId", promotion.clone()).await["promotionId"].clone();
    assert_eq!(
        server.mutate(MERCHANT, "promotionCreate", "promotionId", promotion).await["userErrors"][0]["code"],
        "COUPON_CODE_TAKEN"
    );
    let cart = crate::shop::full_cart(&server, "TEA-100", 2, "EUR").await;
    server.done(None, "cartUpdate", "cart { couponCodes }", json!({ "cartId": cart, "couponCodes": ["Spring10"] })).await;
    let placed = server
        .done(
            None,
            "cartCheckout",
            "order { discount { amountMinor } discounts { code } total { gross { amountMinor } } }",
            json!({ "cartId": cart }),
        )
        .await;
    assert_eq!(
        placed["order"],
        json!({ "discount": { "amountMinor": 200 }, "discounts": [{ "code": "SPRING10" }], "total": { "gross": { "amountMinor": 2290 } } })
    );
    server.done(MERCHANT, "promotionEnd", "promotionId", json!({ "promotionId": id })).await;
}

#[tokio::test]
async fn bad_input_gets_a_typed_answer_and_changes_nothing() {
    let server = Server::start().await;
    let product = tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = crate::shop::full_cart(&server, "TEA-100", 1, "EUR").await;
    let head = async || server.ask("{ log { head } }").await["data"]["log"]["head"].clone();
    let before = head().await;
    let add = |sku: &str, quantity: i64| json!({ "cartId": cart, "lines": [{ "sku": sku, "quantity": quantity }] });
    for (mutation, input, expected) in [
        ("cartLinesAdd", add("TEA-100", -1), "INVALID_QUANTITY"),
        ("cartLinesAdd", add("TEA-100", 0), "INVALID_QUANTITY"),
        ("cartLinesAdd", add("TEA-100", 4_000_000_000), "INVALID_QUANTITY"),
        ("cartLinesAdd", add("TEA-100", i64::MAX), "INVALID_QUANTITY"),
        ("cartLinesAdd", add("NOTHING", 1), "NOT_FOR_SALE"),
        ("cartLinesAdd", add("a@b", 1), "INVALID_INPUT"),
        ("cartLinesAdd", json!({ "cartId": product["id"], "lines": [] }), "INVALID_INPUT"),
        ("cartLinesAdd", json!({ "cartId": "nonsense", "lines": [] }), "INVALID_INPUT"),
        ("cartCreate", json!({ "currency": "CHF" }), "CURRENCY_NOT_OFFERED"),
        ("cartUpdate", json!({ "cartId": cart, "email": "nobody" }), "INVALID_INPUT"),
        ("cartUpdate", json!({ "cartId": cart, "couponCodes": ["NOTHING"] }), "COUPON_NOT_FOUND"),
        ("cartUpdate", json!({ "cartId": cart, "shippingMethod": "rocket" }), "SHIPPING_METHOD_UNAVAILABLE"),
    ] {
        let payload = server.mutate(None, mutation, "cart { id }", input.clone()).await;
        assert_eq!(payload["userErrors"][0]["code"], expected, "{mutation} {input}");
    }
    let unknown = "Y2FydDowMTk3YTNmMC03YzFlLTcwMDAtODAwMC0wMDAwMDAwMDAwMDE";
    let missing = server.mutate(None, "cartCheckout", "order { id }", json!({ "cartId": unknown })).await;
    assert_eq!(missing["userErrors"][0]["code"], "CART_NOT_FOUND");
    let huge = json!({ "productId": product["id"], "variantId": product["variants"][0]["id"],
        "price": { "price": { "amountMinor": i64::MAX, "currency": "EUR" } } });
    server.done(MERCHANT, "variantPriceSet", "product { id }", huge).await;
    let overflow = server.mutate(None, "cartLinesUpdate", "cart { id }", add("TEA-100", 2)).await;
    assert_eq!(overflow["userErrors"][0]["code"], "TOTAL_TOO_LARGE");
    assert_eq!(head().await.as_i64().unwrap(), before.as_i64().unwrap() + 1, "only the price was written");

    for (query, expected) in [
        ("{ cart(id: \"nonsense\") { id } }", "BAD_USER_INPUT"),
        ("{ products(first: 101) { totalCount } }", "PAGE_LIMIT"),
        ("{ products(first: -1) { totalCount } }", "PAGE_LIMIT"),
        ("{ products(after: \"nonsense\") { totalCount } }", "BAD_USER_INPUT"),
        ("{ products(after: \"WyJwcmljZSIsMSwiYSJd\") { totalCount } }", "BAD_USER_INPUT"),
        ("{ product { id } }", "BAD_USER_INPUT"),
    ] {
        assert_eq!(code(&server.ask(query).await), expected, "{query}");
    }
    let nothing = server
        .ask(&format!("{{ cart(id: \"{unknown}\") {{ id }} node(id: \"{unknown}\") {{ id }} product(slug: \"x y\") {{ id }} }}"))
        .await;
    assert_eq!(nothing["data"], json!({ "cart": null, "node": null, "product": null }));
}

#[tokio::test]
async fn stock_is_kept_only_at_locations_of_the_store() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let attic = json!({ "sku": "TEA-100", "location": "attic", "quantity": 5 });
    let refused = server.mutate(MERCHANT, "stockReceive", "stock { onHand }", attic).await;
    let error = &refused["userErrors"][0];
    assert_eq!((&error["code"], &error["field"]), (&json!("INVALID_INPUT"), &json!(["location"])));
    let transfer = json!({ "sku": "TEA-100", "from": "main", "to": "attic", "quantity": 5 });
    let refused = server.mutate(MERCHANT, "stockTransfer", "to { onHand }", transfer).await;
    assert_eq!(refused["userErrors"][0]["field"], json!(["to"]));
}

#[tokio::test]
async fn the_identity_of_the_log_is_shown_to_auditors_only() {
    let server = Server::start().await;
    for role in [None, MERCHANT, Some(Role::Finance)] {
        let answer = server.run(role, "{ log { id } }", json!({})).await;
        assert_eq!(code(&answer), "FORBIDDEN", "{answer}");
    }
    let answer = server.run(Some(Role::Auditor), "{ log { id } }", json!({})).await;
    assert!(answer["data"]["log"]["id"].is_string(), "{answer}");
}
