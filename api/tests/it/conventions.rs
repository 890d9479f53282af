//! What holds of every mutation, every list and every thing alike, so that whoever knows one knows all.

use std::collections::BTreeSet;

use api::access::Role;
use serde_json::{Value, json};

use crate::{
    server::Server,
    shop::{full_cart, paid_order, tea},
};

const MERCHANT: Option<Role> = Some(Role::Merchant);
const ADMIN: Option<Role> = Some(Role::Admin);

/// What staff do that changes no aggregate that was there before: they make one, take up work, end sessions, or ask about a
/// person, who may be several.
const WITHOUT_A_VERSION: [&str; 16] = [
    "apiKeyCreate",
    "categoryCreate",
    "deadLetterRetry",
    "legalHoldLift",
    "legalHoldPlace",
    "personErase",
    "personErasureApprove",
    "personErasureReject",
    "productCreate",
    "promotionCreate",
    "sessionEnd",
    "sessionsEndAll",
    "webhookCreate",
    "webhookRetry",
    "webhookSecretRotate",
    "webhookTest",
];

/// Lists that are in the order of the log, or of the words searched for.
const IN_THEIR_OWN_ORDER: [&str; 4] = ["Query.events", "Query.search", "Query.stream", "history"];

const TYPES: &str = "{ __schema { \
     mutationType { fields { name args { type { ofType { name } } } type { name ofType { name } } } } \
     types { name kind inputFields { name } fields { name args { name } type { name ofType { name } } } } } }";

fn names(of: &Value) -> BTreeSet<String> {
    let named = |part: &Value| part["name"].as_str().unwrap().to_owned();
    of.as_array().map(|parts| parts.iter().map(named).collect()).unwrap_or_default()
}

fn type_name(of: &Value) -> String {
    of["name"].as_str().or_else(|| of["ofType"]["name"].as_str()).unwrap_or_default().to_owned()
}

async fn schema(server: &Server, role: Option<Role>) -> Value {
    server.run(role, TYPES, json!({})).await["data"]["__schema"].clone()
}

fn named<'s>(schema: &'s Value, name: &str) -> &'s Value {
    let types = schema["types"].as_array().unwrap();
    types.iter().find(|of| of["name"] == name).unwrap_or_else(|| panic!("no type {name}"))
}

#[tokio::test]
async fn every_mutation_answers_alike_and_staff_say_what_they_have_looked_at() {
    let server = Server::start().await;
    let (all, everyones) = (schema(&server, ADMIN).await, schema(&server, None).await);
    let everyones = names(&everyones["mutationType"]["fields"]);
    let (mut without, mut with) = (BTreeSet::new(), 0);
    for mutation in all["mutationType"]["fields"].as_array().unwrap() {
        let name = mutation["name"].as_str().unwrap();
        let payload = names(&named(&all, &type_name(&mutation["type"]))["fields"]);
        for field in ["position", "userErrors", "warnings"] {
            assert!(payload.contains(field), "{name} has no `{field}`");
        }
        let Some(input) = mutation["args"][0]["type"]["ofType"]["name"].as_str() else { continue };
        if names(&named(&all, input)["inputFields"]).contains("expectedVersion") {
            with += 1;
        } else if !everyones.contains(name) {
            without.insert(name.to_owned());
        }
    }
    assert!(with >= 30, "{with}");
    let own: BTreeSet<String> = WITHOUT_A_VERSION.map(str::to_owned).into();
    let forgotten: Vec<_> = own.symmetric_difference(&without).collect();
    assert!(forgotten.is_empty(), "with a version, or to be listed as without one: {forgotten:?}");
}

#[tokio::test]
async fn every_list_is_narrowed_and_sorted() {
    let server = Server::start().await;
    let schema = schema(&server, ADMIN).await;
    let mut seen = 0;
    for of in schema["types"].as_array().unwrap() {
        for field in of["fields"].as_array().into_iter().flatten() {
            if !type_name(&field["type"]).ends_with("Connection") {
                continue;
            }
            let (name, args) = (field["name"].as_str().unwrap(), names(&field["args"]));
            let path = format!("{}.{name}", of["name"].as_str().unwrap());
            seen += 1;
            assert!(args.contains("first") && args.contains("after"), "{path} has no pages");
            if IN_THEIR_OWN_ORDER.iter().any(|own| *own == path || *own == name) {
                continue;
            }
            assert!(args.contains("sort"), "{path} is not sorted");
            // What hangs below one thing is narrowed by it.
            assert!(args.contains("filter") || path == "Webhook.failures", "{path} is not narrowed");
        }
    }
    assert!(seen >= 20, "{seen}");
}

const STALE: &str =
    "userErrors { __typename code message field ... on StaleVersion { expectedVersion version events { type sequence } } }";

/// The answer to a mutation of staff, with what a stale version tells.
async fn staff(server: &Server, role: Option<Role>, mutation: &str, selection: &str, input: Value) -> Value {
    let name = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
    let query = format!("mutation($i: {name}!) {{ {mutation}(input: $i) {{ {selection} position {STALE} }} }}");
    let answer = server.run(role, &query, json!({ "i": input })).await;
    assert_eq!(answer.get("errors"), None, "{mutation}: {answer}");
    answer["data"][mutation].clone()
}

#[tokio::test]
async fn a_change_of_what_has_changed_since_is_refused_with_what_happened() {
    let server = Server::start().await;
    let product = tea(&server, "TEA-100", "4.50", "EUR", 10).await["id"].clone();
    let query = "query($id: ID!) { product(id: $id) { version title } }";
    let seen = server.run(MERCHANT, query, json!({ "id": product })).await["data"]["product"]["version"].clone();

    let rename = |title: &str, version: &Value| json!({ "productId": product, "title": title, "expectedVersion": version });
    let first = staff(&server, MERCHANT, "productUpdate", "product { version title }", rename("Oolong", &seen)).await;
    assert_eq!((&first["userErrors"], &first["product"]["title"]), (&json!([]), &json!("Oolong")));
    let now = first["product"]["version"].clone();
    assert_eq!(now, json!(seen.as_i64().unwrap() + 1));

    let second = staff(&server, MERCHANT, "productUpdate", "product { title }", rename("Sencha", &seen)).await;
    let happened = json!([{ "type": "ProductDetailsChanged", "sequence": now }]);
    let error = &second["userErrors"][0];
    assert_eq!((&error["__typename"], &error["code"]), (&json!("StaleVersion"), &json!("STALE_VERSION")));
    assert_eq!((&error["expectedVersion"], &error["version"], &error["events"]), (&seen, &now, &happened));
    assert_eq!((&error["field"], &second["product"]), (&json!(["expectedVersion"]), &Value::Null));

    let wrong = staff(&server, MERCHANT, "productUpdate", "product { title }", rename("Sencha", &json!(-1))).await;
    assert_eq!(wrong["userErrors"][0]["code"], "INVALID_INPUT");
    let none = staff(&server, MERCHANT, "productUpdate", "product { title }", rename("Sencha", &Value::Null)).await;
    assert_eq!(none["product"]["title"], "Sencha", "who expects nothing is not held up");
}

#[tokio::test]
async fn who_repeats_a_change_gets_the_first_answer_whatever_the_version_is_now() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let order = paid_order(&server, "TEA-100", 1).await["order"]["id"].clone();
    let query = "query($id: ID!) { order(id: $id) { version } }";
    let version = server.run(ADMIN, query, json!({ "id": order })).await["data"]["order"]["version"].clone();
    let input = json!({
        "orderId": order, "note": "call back", "expectedVersion": version, "idempotencyKey": "0197a6c0-note-0001",
    });
    let first = staff(&server, ADMIN, "orderNoteAdd", "order { version }", input.clone()).await;
    let again = staff(&server, ADMIN, "orderNoteAdd", "order { version }", input).await;
    assert_eq!((&first["userErrors"], &again), (&json!([]), &first));
}

#[tokio::test]
async fn rights_stock_and_webhooks_are_held_to_their_version_too() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let define = |version: Value| {
        let permissions = ["SHIP_ORDERS"];
        json!({ "name": "packer", "permissions": permissions, "description": "Packs", "expectedVersion": version })
    };
    let made = staff(&server, ADMIN, "roleDefine", "role { version }", define(Value::Null)).await;
    assert_eq!((&made["userErrors"], &made["role"]["version"]), (&json!([]), &json!(1)));
    let stale = staff(&server, ADMIN, "roleDefine", "role { version }", define(json!(7))).await;
    let error = &stale["userErrors"][0];
    assert_eq!((&error["code"], &error["version"]), (&json!("STALE_VERSION"), &json!(1)));

    let receive = |version: i64| json!({ "sku": "TEA-100", "quantity": 1, "expectedVersion": version });
    let stock = staff(&server, MERCHANT, "stockReceive", "stock { version onHand }", receive(1)).await;
    assert_eq!(stock["stock"], json!({ "version": 2, "onHand": 11 }));
    let late = staff(&server, Some(Role::Fulfilment), "stockReceive", "stock { onHand }", receive(1)).await;
    assert_eq!((&late["userErrors"][0]["code"], &late["userErrors"][0]["version"]), (&json!("STALE_VERSION"), &json!(2)));

    let transfer = json!({ "sku": "TEA-100", "from": "main", "to": "main", "quantity": 1, "expectedVersion": 1 });
    let moved = staff(&server, MERCHANT, "stockTransfer", "from { onHand }", transfer).await;
    assert_eq!(moved["userErrors"][0]["code"], "STALE_VERSION");
}

#[tokio::test]
async fn a_shopper_is_warned_of_what_a_checkout_would_run_into() {
    let server = Server::start().await;
    let tea_id = tea(&server, "TEA-100", "4.50", "EUR", 3).await["id"].clone();
    let mate = tea(&server, "MATE-1", "2.00", "EUR", 9).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let warned = "cart { quantity } warnings { code target message }";
    let lines = |sku: &str, quantity: u32, reduce: bool| {
        let lines = json!([{ "sku": sku, "quantity": quantity }]);
        json!({ "cartId": cart, "lines": lines, "reduceToAvailable": reduce })
    };
    let codes = |payload: &Value| {
        let warnings = payload["warnings"].as_array().unwrap().clone();
        let one =
            |warning: Value| (warning["code"].as_str().unwrap().to_owned(), warning["target"].as_str().unwrap_or("").to_owned());
        warnings.into_iter().map(one).collect::<Vec<_>>()
    };
    let pair = |code: &str, target: &str| (code.to_owned(), target.to_owned());

    let fits = server.done(None, "cartLinesAdd", warned, lines("TEA-100", 1, false)).await;
    assert_eq!(codes(&fits), []);
    let beyond = server.done(None, "cartLinesAdd", warned, lines("TEA-100", 3, false)).await;
    assert_eq!((codes(&beyond), &beyond["cart"]["quantity"]), (vec![pair("INSUFFICIENT_STOCK", "TEA-100")], &json!(5)));
    let reduced = server.done(None, "cartLinesUpdate", warned, lines("TEA-100", 7, true)).await;
    assert_eq!((codes(&reduced), &reduced["cart"]["quantity"]), (vec![pair("QUANTITY_REDUCED", "TEA-100")], &json!(3)));
    let more = server.done(None, "cartLinesAdd", warned, lines("TEA-100", 2, true)).await;
    assert_eq!((codes(&more), &more["cart"]["quantity"]), (vec![pair("QUANTITY_REDUCED", "TEA-100")], &json!(3)));

    let coupon = json!({ "name": "Spring", "code": "SPRING", "percentOffPpm": 100_000 });
    let promotion =
        server.done(MERCHANT, "promotionCreate", "promotionId promotion { code uses availableActions }", coupon).await;
    assert_eq!(promotion["promotion"], json!({ "code": "SPRING", "uses": 0, "availableActions": ["END"] }));
    let with_coupon = json!({ "cartId": cart, "couponCodes": ["SPRING"] });
    assert_eq!(codes(&server.done(None, "cartUpdate", warned, with_coupon).await), []);
    let ended = "promotion { ended availableActions }";
    let end = server.done(MERCHANT, "promotionEnd", ended, json!({ "promotionId": promotion["promotionId"] })).await;
    assert_eq!(end["promotion"], json!({ "ended": true, "availableActions": [] }));

    server.done(None, "cartLinesAdd", warned, lines("MATE-1", 2, false)).await;
    let price = json!({ "productId": mate["id"], "variantId": mate["variants"][0]["id"],
        "price": { "price": { "amount": "3.00", "currency": "EUR" } } });
    server.done(MERCHANT, "variantPriceSet", "product { id }", price).await;
    let after = server.done(None, "cartLinesUpdate", warned, lines("TEA-100", 2, false)).await;
    assert_eq!(codes(&after), [pair("COUPON_NOT_APPLICABLE", "SPRING"), pair("PRICE_CHANGED", "MATE-1")]);
    server.done(MERCHANT, "productArchive", "product { state }", json!({ "productId": tea_id, "reason": "old" })).await;
    let gone = server.done(None, "cartLinesUpdate", warned, lines("MATE-1", 1, false)).await;
    assert_eq!(codes(&gone), [pair("COUPON_NOT_APPLICABLE", "SPRING"), pair("NOT_FOR_SALE", "TEA-100")]);
}

#[tokio::test]
async fn staff_are_warned_of_stock_that_is_promised_and_not_there() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 3).await;
    paid_order(&server, "TEA-100", 3).await;
    let count = json!({ "sku": "TEA-100", "counted": 1 });
    let counted = server.done(MERCHANT, "stockCount", "stock { onHand committed } warnings { code target }", count).await;
    assert_eq!(counted["warnings"], json!([{ "code": "STOCK_OVERSOLD", "target": "TEA-100" }]));
    let found = json!({ "sku": "TEA-100", "quantity": 5 });
    let received = server.done(MERCHANT, "stockReceive", "stock { onHand } warnings { code }", found).await;
    assert_eq!(received["warnings"], json!([]));
}

#[tokio::test]
async fn what_can_be_done_is_told_to_whom_may_do_it() {
    let server = Server::start().await;
    let product = tea(&server, "TEA-100", "4.50", "EUR", 10).await["id"].clone();
    let of_product = "query($id: ID!) { product(id: $id) { availableActions } }";
    let actions = |answer: &Value, field: &str| answer["data"][field]["availableActions"].clone();
    let seen = server.run(MERCHANT, of_product, json!({ "id": product })).await;
    assert_eq!(actions(&seen, "product"), json!(["UPDATE", "ARCHIVE", "ADD_VARIANT", "SET_PRICE"]));
    assert_eq!(actions(&server.run(None, of_product, json!({ "id": product })).await, "product"), json!([]));

    let cart = full_cart(&server, "TEA-100", 2, "EUR").await;
    let of_cart = "query($id: ID!) { cart(id: $id) { availableActions } }";
    let full = json!(["ADD_LINES", "UPDATE_LINES", "UPDATE", "CHECKOUT"]);
    assert_eq!(actions(&server.run(None, of_cart, json!({ "id": cart })).await, "cart"), full);

    let bought = paid_order(&server, "TEA-100", 2).await;
    let of_order = "query($id: ID!) { order(id: $id) { availableActions payments { availableActions } \
                    fulfilments { availableActions } returns { availableActions } } }";
    let order = json!({ "id": bought["order"]["id"] });
    let seen = async |role: Role| server.run(Some(role), of_order, order.clone()).await["data"]["order"].clone();
    assert_eq!(seen(Role::Fulfilment).await["availableActions"], json!(["START_PROCESSING", "FULFIL"]));
    let admins = seen(Role::Admin).await;
    assert_eq!(admins["availableActions"], json!(["CANCEL", "START_PROCESSING", "FULFIL", "REFUND"]));
    assert_eq!(admins["payments"], json!([{ "availableActions": ["REFUND"] }]));
    server.done(ADMIN, "orderFulfil", "order { id }", json!({ "orderId": order["id"] })).await;
    let back = json!({ "orderId": order["id"], "items": [{ "sku": "TEA-100", "quantity": 1 }], "reason": "late" });
    server.done(ADMIN, "orderReturn", "order { id }", back).await;
    let shipped = seen(Role::Admin).await;
    assert_eq!(shipped["availableActions"], json!(["DELIVER", "RETURN", "REFUND"]));
    assert_eq!(shipped["fulfilments"], json!([{ "availableActions": ["DELIVER"] }]));
    assert_eq!(shipped["returns"], json!([{ "availableActions": ["REFUND"] }]));
}

#[tokio::test]
async fn lists_are_narrowed_and_sorted_as_asked() {
    let server = Server::start().await;
    for (sku, units) in [("TEA-A", 9), ("TEA-B", 3), ("TEA-C", 6)] {
        tea(&server, sku, "4.50", "EUR", units).await;
    }
    let levels = "{ stockLevels(sort: { by: AVAILABLE, descending: true }) { nodes { sku } } }";
    let answer = server.run(MERCHANT, levels, json!({})).await;
    assert_eq!(answer["data"]["stockLevels"]["nodes"], json!([{ "sku": "TEA-A" }, { "sku": "TEA-C" }, { "sku": "TEA-B" }]));
    let orders = [paid_order(&server, "TEA-A", 1).await, paid_order(&server, "TEA-A", 3).await];
    let payments =
        "query($f: PaymentFilterInput, $s: PaymentSortInput) { payments(filter: $f, sort: $s) { totalCount nodes { id } } }";
    let listed = async |filter: Value, sort: Value| {
        let answer = server.run(ADMIN, payments, json!({ "f": filter, "s": sort })).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
        answer["data"]["payments"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect::<Vec<_>>()
    };
    let ids: Vec<Value> = orders.iter().map(|order| order["payment"]["id"].clone()).collect();
    assert_eq!(listed(Value::Null, json!({ "by": "AMOUNT", "descending": false })).await, ids);
    assert_eq!(listed(Value::Null, Value::Null).await, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(listed(json!({ "orderId": orders[0]["order"]["id"] }), Value::Null).await, ids[..1]);
    assert!(listed(json!({ "currency": "GBP" }), Value::Null).await.is_empty());

    for (name, code) in [("Spring", "SPRING"), ("Autumn", "AUTUMN")] {
        let promotion = json!({ "name": name, "code": code, "percentOffPpm": 100_000 });
        server.done(MERCHANT, "promotionCreate", "promotionId", promotion).await;
    }
    let promotions = "{ all: promotions { totalCount nodes { name } } one: promotions(filter: { code: \"spring\" }) \
                      { nodes { name history { nodes { type } } } } none: promotions(filter: { ended: true }) { totalCount } }";
    let answer = server.run(MERCHANT, promotions, json!({})).await["data"].clone();
    assert_eq!(answer["all"], json!({ "totalCount": 2, "nodes": [{ "name": "Autumn" }, { "name": "Spring" }] }));
    let history = json!({ "nodes": [{ "type": "PromotionCreated" }] });
    assert_eq!(
        (&answer["one"]["nodes"], &answer["none"]),
        (&json!([{ "name": "Spring", "history": history }]), &json!({ "totalCount": 0 }))
    );
}
