//! Own data: with each id of Ana's, through every entry, Eve gets what she gets for an id that was never given out.

use std::collections::{BTreeMap, BTreeSet};

use api::access::Role;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use reqwest::Response;
use serde_json::{Value, json};

use crate::{
    people::{Person, one_input},
    server::Server,
    shop::{ORDER, home, tea},
};

/// What Ana has, and an id of each kind that there is not.
struct Things {
    kind: &'static str,
    hers: String,
    nowhere: String,
}

fn id_of(kind: &'static str, id: &Value) -> Things {
    let nowhere = BASE64.encode(format!("{kind}:{}", uuid::Uuid::now_v7()));
    Things { kind, hers: id.as_str().unwrap().to_owned(), nowhere }
}

async fn cart(server: &Server, person: &Person) -> Value {
    let input = json!({ "currency": "EUR", "lines": [{ "sku": "TEA-100", "quantity": 1 }] });
    let cart = server.mutate_as(person, "cartCreate", "CartCreateInput", "cart { id }", input).await["cart"]["id"].clone();
    let input = json!({ "cartId": cart, "email": "ana@example.com", "shippingAddress": home(), "shippingMethod": "standard" });
    server.mutate_as(person, "cartUpdate", "CartUpdateInput", "cart { id }", input).await;
    cart
}

/// An open cart, one that was checked out, its order that waits for its payment, and another that was paid and reviewed.
async fn buy(server: &Server, person: &Person) -> Vec<Things> {
    let open = cart(server, person).await;
    let (waiting, used) = (cart(server, person).await, cart(server, person).await);
    let checkout = async |cart: &Value| {
        server.mutate_as(person, "cartCheckout", "CartCheckoutInput", ORDER, json!({ "cartId": cart })).await
    };
    let (placed, bought) = (checkout(&waiting).await, checkout(&used).await);
    let input = json!({ "paymentId": bought["payment"]["id"], "token": "sandbox_card" });
    server.mutate_as(person, "paymentConfirm", "PaymentConfirmInput", "payment { id }", input).await;
    let input = json!({ "orderId": bought["order"]["id"], "rating": 5 });
    let review = server.mutate_as(person, "reviewSubmit", "ReviewSubmitInput", "review { id }", input).await;
    vec![
        id_of("cart", &open),
        id_of("cart", &used),
        id_of("order", &placed["order"]["id"]),
        id_of("order", &bought["order"]["id"]),
        id_of("payment", &placed["payment"]["id"]),
        id_of("payment", &bought["payment"]["id"]),
        id_of("review", &review["review"]["id"]),
        id_of("account", &json!(person.id)),
    ]
}

/// The argument that asks for a thing as it is by now, through the log and not through the views.
fn as_of_now() -> String {
    format!(", asOf: {{ at: \"{}\" }}", event_schemas::rfc3339(chrono::Utc::now()))
}

/// Every query and mutation that takes an id of this kind, as far as a customer may send it.
fn entries(kind: &str) -> Vec<(String, Value)> {
    let node = "query($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id]) { __typename id } }".to_owned();
    let now = as_of_now();
    let node_then = format!("query($id: ID!) {{ node(id: $id{now}) {{ __typename id }} }}");
    let mut entries = vec![(node, json!({})), (node_then, json!({}))];
    let read = |field: &str, rest: &str| (format!("query($id: ID!) {{ {field}(id: $id{rest}) {{ id }} }}"), json!({}));
    let change = |name: &str, selection: &str, input: Value| {
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        (one_input(name, &kind, selection), input)
    };
    let lines = json!([{ "sku": "TEA-100", "quantity": 1 }]);
    let session = BASE64.encode(format!("session:{}", uuid::Uuid::nil()));
    entries.extend(match kind {
        "cart" => vec![
            read("cart", ""),
            read("cart", &now),
            change("cartLinesAdd", "cart { id }", json!({ "cartId": "ID", "lines": lines })),
            change("cartLinesUpdate", "cart { id }", json!({ "cartId": "ID", "lines": lines })),
            change("cartLinesAdd", "cart { id }", json!({ "cartId": "ID", "lines": [{ "sku": "NONE", "quantity": 1 }] })),
            change("cartLinesRemove", "cart { id }", json!({ "cartId": "ID", "skus": ["TEA-100"] })),
            change("cartUpdate", "cart { id }", json!({ "cartId": "ID", "email": "eve@example.com" })),
            change("cartUpdate", "cart { id }", json!({ "cartId": "ID", "shippingMethod": "none" })),
            change("cartCheckout", "order { id } payment { id }", json!({ "cartId": "ID" })),
        ],
        "order" => vec![
            read("order", ""),
            read("order", &now),
            read("order", ", asOf: { position: 0 }"),
            change("reviewSubmit", "review { id }", json!({ "orderId": "ID", "rating": 1 })),
            change("reviewSubmit", "review { id }", json!({ "orderId": "ID", "rating": 9 })),
        ],
        "payment" => vec![
            read("payment", ""),
            read("payment", &now),
            change("paymentConfirm", "payment { id } order { id }", json!({ "paymentId": "ID", "token": "sandbox_card" })),
            change("paymentConfirm", "payment { id } order { id }", json!({ "paymentId": "ID", "token": "" })),
        ],
        "review" => vec![read("review", ""), read("review", &now)],
        "account" => vec![
            read("account", ""),
            read("account", &now),
            change("sessionEnd", "account { id }", json!({ "accountId": "ID", "sessionId": session })),
            change("sessionsEndAll", "account { id }", json!({ "accountId": "ID" })),
        ],
        _ => vec![],
    });
    entries
}

/// An answer without what differs between any two: positions, times, and the id that was asked for.
fn plain(answer: &Value, id: &str) -> String {
    let mut answer = answer.clone();
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("extensions");
    }
    let text = answer.to_string().replace(id, "ID");
    let (mut plain, mut rest) = (String::new(), text.as_str());
    while let Some((before, after)) = rest.split_once("\"position\":") {
        plain += before;
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    plain + rest
}

fn variables(input: &Value, id: &str) -> Value {
    let input: Value = serde_json::from_str(&input.to_string().replace("\"ID\"", &format!("{id:?}"))).unwrap();
    json!({ "id": id, "i": input })
}

#[tokio::test]
async fn with_each_id_of_anas_eve_gets_what_she_gets_for_an_id_that_was_never_given_out() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let (ana, eve) = (server.person("ana@example.com").await, server.person("eve@example.com").await);
    for Things { kind, hers, nowhere } in buy(&server, &ana).await {
        for (query, input) in entries(kind) {
            let by_eve = async |id: &str| plain(&server.ask_as(&eve, &query, variables(&input, id)).await, id);
            let by_guest = async |id: &str| plain(&server.run(None, &query, variables(&input, id)).await, id);
            assert_eq!(by_eve(&hers).await, by_eve(&nowhere).await, "{query}");
            assert_eq!(by_guest(&hers).await, by_guest(&nowhere).await, "{query}");
        }
        // What is hers is there for her, and for staff: by the same ways on which Eve found nothing.
        for then in ["", &as_of_now()] {
            let node = format!("query($id: ID!) {{ node(id: $id{then}) {{ id }} }}");
            let seen = server.ask_as(&ana, &node, json!({ "id": hers })).await["data"]["node"]["id"].clone();
            assert_eq!(seen, json!(hers), "{kind} {then}");
            let seen = server.run(Some(Role::Admin), &node, json!({ "id": hers })).await["data"]["node"]["id"].clone();
            assert_eq!(seen, json!(hers), "{kind} {then}");
        }
    }
}

#[tokio::test]
async fn what_eve_tried_has_changed_nothing_of_anas() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let (ana, eve) = (server.person("ana@example.com").await, server.person("eve@example.com").await);
    let cart = cart(&server, &ana).await;
    let query = "query($id: ID!) { cart(id: $id) { state email quantity lines { sku quantity } shippingMethod } }";
    let before = server.ask_as(&ana, query, json!({ "id": cart })).await["data"]["cart"].clone();
    for (mutation, input) in entries("cart").into_iter().filter(|(query, _)| query.starts_with("mutation")) {
        server.ask_as(&eve, &mutation, variables(&input, cart.as_str().unwrap())).await;
    }
    assert_eq!(server.ask_as(&ana, query, json!({ "id": cart })).await["data"]["cart"], before);
    // Staff who change carts may.
    let input = json!({ "cartId": cart, "email": "ana.ruiz@example.com" });
    let changed = server.done(Some(Role::Support), "cartUpdate", "cart { email }", input).await;
    assert_eq!(changed["cart"]["email"], "ana.ruiz@example.com");
}

/// What differs from one such response to the next in its headers: its time, and the id of the request.
const OF_EACH: [&str; 2] = ["date", "x-correlation-id"];

/// The status and the headers of a response.
fn head(response: &Response) -> (u16, BTreeMap<String, String>) {
    let headers = response.headers().iter().filter(|(name, _)| !OF_EACH.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (response.status().as_u16(), headers)
}

/// The different lines that come within three seconds, `the end` among them if the response ends.
async fn lines(response: &mut Response) -> BTreeSet<String> {
    let (mut heard, mut end) = (String::new(), None);
    let listened = tokio::time::timeout(std::time::Duration::from_secs(3), async {
        while let Some(chunk) = response.chunk().await.unwrap() {
            heard += &String::from_utf8_lossy(&chunk);
        }
    });
    if listened.await.is_ok() {
        end = Some("the end".to_owned());
    }
    heard.lines().map(ToOwned::to_owned).chain(end).collect()
}

#[tokio::test]
async fn whoever_follows_an_order_of_anas_without_a_right_to_it_hears_what_they_hear_of_an_order_that_is_not_there() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let (ana, eve) = (server.person("ana@example.com").await, server.person("eve@example.com").await);
    let order = buy(&server, &ana).await.into_iter().find(|thing| thing.kind == "order").unwrap();
    let query = "subscription($id: ID!) { orderUpdated(id: $id, fromPosition: 0) { position type order { id } } }";
    let follow = async |person: &Person, id: &str| {
        let request = server.post(json!({ "query": query, "variables": { "id": id } }).to_string());
        request.bearer_auth(&person.access).header("accept", "text/event-stream").send().await.unwrap()
    };
    let (mut of_hers, mut of_none) = (follow(&eve, &order.hers).await, follow(&eve, &order.nowhere).await);
    assert_eq!(head(&of_hers), head(&of_none));
    let mut by_ana = follow(&ana, &order.hers).await;
    let mut heard = String::new();
    while !heard.contains("OrderPlaced") {
        heard += &String::from_utf8_lossy(&by_ana.chunk().await.unwrap().unwrap());
    }
    // Eve's streams were opened first and the same events were behind them: a comment that keeps them open is all that comes.
    let (of_hers, of_none) = tokio::join!(lines(&mut of_hers), lines(&mut of_none));
    assert_eq!(of_hers, of_none);
    assert!(!of_hers.contains("the end") && !of_hers.iter().any(|line| line.starts_with("event:")), "{of_hers:?}");
}

#[tokio::test]
async fn a_guests_things_are_for_whoever_knows_their_ids() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = crate::shop::full_cart(&server, "TEA-100", 1, "EUR").await;
    let placed = server.done(None, "cartCheckout", ORDER, json!({ "cartId": cart })).await;
    let eve = server.person("eve@example.com").await;
    for id in [json!(cart), placed["order"]["id"].clone(), placed["payment"]["id"].clone()] {
        let seen = server.ask_as(&eve, "query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(seen["data"]["node"]["id"], id);
    }
}
