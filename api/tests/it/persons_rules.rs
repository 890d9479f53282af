//! Persons: who is not erased, by which ids they are found, and who is taken for whom.

use std::time::{Duration, Instant};

use api::{ServeConfig, access::Role};
use chrono::Utc;
use event_schemas::{CustomerId, PersonErased, PersonEvent, StreamId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    people::{PASSWORD, one_input, refusal},
    persons_retention::{persons_of, write},
    server::{Server, code, config},
    shop::{ORDER, home, paid_order, tea},
};

const WHO: &str = "query($c: String) { person(customerId: $c) { customerIds } }";
const STATE: &str = "query($c: String) { person(customerId: $c) { state } }";

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_is_refused_before_anything_of_theirs_is_erased() {
    let server = Server::start().await;
    let (admin, ben) = (server.admin().await, server.person("ben@example.com").await);
    let confirm = json!({ "confirm": true });
    let kept = server.mutate_as(&admin, "accountDelete", "AccountDeleteInput", "deleted", confirm.clone()).await;
    assert_eq!((refusal(&kept), &kept["deleted"]), ("LAST_ADMIN", &json!(null)), "{kept}");
    let erase = json!({ "person": { "customerId": admin.id }, "reason": "case 7" });
    let kept = server.mutate_as(&admin, "personErase", "PersonEraseInput", "person { state }", erase).await;
    assert_eq!(refusal(&kept), "LAST_ADMIN", "{kept}");
    let state = server.ask_as(&admin, STATE, json!({ "c": admin.id })).await;
    assert_eq!(state["data"]["person"]["state"], "KEPT", "{state}");
    assert_eq!(server.login(&admin.email, PASSWORD).await["userErrors"], json!([]), "the account is whole");

    // With another administrator the first may go, and the account with the erasure.
    server.grant(&admin, &ben, "admin").await;
    server.until_has(&ben, "admin").await;
    let deleted = server.mutate_as(&admin, "accountDelete", "AccountDeleteInput", "deleted", confirm.clone()).await;
    assert_eq!((refusal(&deleted), &deleted["deleted"]), ("none", &json!(true)), "{deleted}");
    assert_eq!(refusal(&server.login(&admin.email, PASSWORD).await), "CREDENTIALS_INVALID");
    let kept = server.mutate_as(&ben, "accountDelete", "AccountDeleteInput", "deleted", confirm).await;
    assert_eq!(refusal(&kept), "LAST_ADMIN", "now Ben is the last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_named_by_the_id_of_their_account_too() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let ana = server.person("ana@example.com").await;
    let new = json!({ "currency": "EUR", "lines": [{ "sku": "TEA-100", "quantity": 1 }] });
    let cart = server.mutate_as(&ana, "cartCreate", "CartCreateInput", "cart { id }", new).await["cart"]["id"].clone();
    let details = json!({ "cartId": cart, "email": ana.email, "shippingAddress": home(), "shippingMethod": "standard" });
    server.mutate_as(&ana, "cartUpdate", "CartUpdateInput", "cart { id }", details).await;
    let placed = server.mutate_as(&ana, "cartCheckout", "CartCheckoutInput", ORDER, json!({ "cartId": cart })).await;
    assert_eq!(placed["userErrors"], json!([]), "{placed}");

    let person = "query($c: String) { person(customerId: $c) { ids customerIds } }";
    let orders = "query($c: String) { orders(filter: { customerId: $c }) { nodes { id customerId } } }";
    let asked = async |query: &str, id: &Value| {
        let answer = server.run(Some(Role::Admin), query, json!({ "c": id })).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
        answer["data"].clone()
    };
    let (account, by_account) = (json!(ana.id), asked(person, &json!(ana.id)).await);
    let customer = by_account["person"]["customerIds"][0].clone();
    assert!(customer.is_string() && customer != account, "{by_account}");
    assert_eq!(asked(person, &customer).await, by_account);
    let bought = json!({ "orders": { "nodes": [{ "id": placed["order"]["id"], "customerId": customer }] } });
    for id in [&account, &customer] {
        assert_eq!(asked(orders, id).await, bought);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_who_write_a_guests_review_down_are_not_its_customer() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let order = paid_order(&server, "TEA-100", 1).await["order"]["id"].clone();
    let (admin, ben) = (server.admin().await, server.person("ben@example.com").await);
    server.grant(&admin, &ben, "support").await;
    server.until_has(&ben, "support").await;
    let review = json!({ "orderId": order, "rating": 4, "title": "By telephone" });
    let written = server.mutate_as(&ben, "reviewSubmit", "ReviewSubmitInput", "review { rating }", review).await;
    assert_eq!((refusal(&written), &written["review"]["rating"]), ("none", &json!(4)), "{written}");
    let submitted = "{ events(types: [\"ReviewSubmitted\"]) { nodes { actor change } } }";
    let told = server.run(Some(Role::Auditor), submitted, json!({})).await["data"]["events"]["nodes"][0].clone();
    assert!(told["actor"].as_str().unwrap().starts_with("support:"), "{told}");
    assert_eq!(told["change"]["customer_id"], json!(null), "{told}");
}

/// A guest's cart that was given an e-mail address: its id.
async fn guests_cart(server: &Server, email: &str) -> Value {
    let created = server.done(None, "cartCreate", "cart { id }", json!({ "currency": "EUR" })).await["cart"]["id"].clone();
    let details = json!({ "cartId": created, "email": email, "shippingAddress": home() });
    server.done(None, "cartUpdate", "cart { id }", details).await;
    created
}

async fn email_of(server: &Server, cart: &Value) -> Value {
    let query = "query($id: ID!) { cart(id: $id) { email } }";
    server.run(Some(Role::Admin), query, json!({ "id": cart })).await["data"]["cart"]["email"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_is_sent_again_erases_nothing_that_came_since() {
    let server = Server::start().await;
    let zofia = "zofia@example.com";
    let before = guests_cart(&server, zofia).await;
    let erase = json!({ "person": { "email": zofia }, "reason": "case 7", "idempotencyKey": "erase-zofia-once-0001" });
    let first = server.done(Some(Role::Admin), "personErase", "person { state }", erase.clone()).await;
    assert_eq!((&first["person"]["state"], email_of(&server, &before).await), (&json!("ERASED"), Value::Null));
    let since = guests_cart(&server, zofia).await;
    let again = server.done(Some(Role::Admin), "personErase", "position", erase).await;
    assert_eq!(again["position"], first["position"], "the first answer again");
    assert_eq!(email_of(&server, &since).await, zofia, "what the log does not say to be erased is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_types_an_address_of_somebody_else_is_not_taken_for_them() {
    let server = Server::start().await;
    let zofia = "zofia@example.com";
    let hers = guests_cart(&server, zofia).await;
    let eve = server.token_of("eve", Duration::from_secs(600));
    let asks = async |query: &str, input: Value| -> Value {
        let body = json!({ "query": query, "variables": { "i": input } }).to_string();
        server.post(body).bearer_auth(&eve).send().await.unwrap().json().await.unwrap()
    };
    let create = "mutation($i: CartCreateInput!) { cartCreate(input: $i) { cart { id } } }";
    let eves = asks(create, json!({ "currency": "EUR" })).await["data"]["cartCreate"]["cart"]["id"].clone();
    let update = "mutation($i: CartUpdateInput!) { cartUpdate(input: $i) { cart { email } } }";
    let typed = asks(update, json!({ "cartId": eves, "email": zofia, "shippingAddress": home() })).await;
    assert_eq!(typed["data"]["cartUpdate"]["cart"]["email"], zofia, "{typed}");
    let person = "query($e: String) { person(email: $e) { ids customerIds } }";
    let found = server.run(Some(Role::Admin), person, json!({ "e": zofia })).await["data"]["person"].clone();
    assert_eq!((found["ids"].as_array().map(Vec::len), &found["customerIds"]), (Some(1), &json!([])), "{found}");
    let erase = json!({ "person": { "email": zofia }, "reason": "case 7" });
    server.done(Some(Role::Admin), "personErase", "position", erase).await;
    assert_eq!((email_of(&server, &hers).await, email_of(&server, &eves).await), (Value::Null, json!(zofia)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_protects_data_and_may_do_nothing_else_erases_no_staff() {
    let server = Server::start().await;
    let (admin, ben, ana) =
        (server.admin().await, server.person("ben@example.com").await, server.person("ana@example.com").await);
    let define = json!({ "name": "privacy", "description": "Protects data", "permissions": ["PROTECT_DATA"] });
    server.mutate_as(&admin, "roleDefine", "RoleDefineInput", "role { name }", define).await;
    server.grant(&admin, &ben, "privacy").await;
    server.grant(&admin, &ana, "support").await;
    server.until(&ben, "{ erasures { totalCount } }", "none").await;
    let erase = "mutation($i: PersonEraseInput!) { personErase(input: $i) { person { state } userErrors { code } } }";
    for staff in [&admin, &ana] {
        let input = json!({ "i": { "person": { "customerId": staff.id }, "reason": "a grudge" } });
        let refused = server.ask_as(&ben, erase, input).await;
        assert_eq!(code(&refused), "FORBIDDEN", "{refused}");
        assert_eq!(server.login(&staff.email, PASSWORD).await["userErrors"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_neither_why_they_are_kept_nor_what_staff_wrote() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    let new = json!({ "currency": "EUR" });
    let cart = server.mutate_as(&ana, "cartCreate", "CartCreateInput", "cart { id }", new).await["cart"]["id"].clone();
    let details = json!({ "cartId": cart, "email": ana.email, "shippingAddress": home() });
    server.mutate_as(&ana, "cartUpdate", "CartUpdateInput", "cart { id }", details).await;
    let hold = json!({ "person": { "customerId": ana.id }, "name": "Brandt", "reason": "suspected fraud" });
    server.done(Some(Role::Admin), "legalHoldPlace", "person { state }", hold).await;
    let confirm = json!({ "confirm": true });
    let kept = server.mutate_as(&ana, "accountDelete", "AccountDeleteInput", "deleted", confirm).await;
    assert_eq!(refusal(&kept), "PERSON_ON_HOLD", "{kept}");
    let own = server.ask_as(&ana, "{ me { exportData } }", json!({})).await;
    assert!(own.to_string().contains("CartDetailsSet"), "{own}");
    for told in [&kept, &own] {
        assert!(!told.to_string().contains("Brandt") && !told.to_string().contains("fraud"), "{told}");
    }
}

/// The customer whom an account is.
async fn customer_of(server: &Server, account: &str) -> String {
    let told = server.run(Some(Role::Admin), WHO, json!({ "c": account })).await;
    told["data"]["person"]["customerIds"][0].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_is_neither_erased_nor_held_and_gets_no_key() {
    let server = Server::start().await;
    let persons = persons_of(server.folder.path()).await;
    let refused = async |customer: &str| {
        let person = json!({ "customerId": customer });
        let erase = json!({ "person": person, "reason": "case 7" });
        let hold = json!({ "person": person, "name": "case 7", "reason": "a lawsuit" });
        let erased = server.mutate(Some(Role::Admin), "personErase", "person { state }", erase).await;
        let held = server.mutate(Some(Role::Admin), "legalHoldPlace", "person { state }", hold).await;
        assert_eq!((refusal(&erased), refusal(&held)), ("PERSON_NOT_FOUND", "PERSON_NOT_FOUND"), "{erased} {held}");
        let customer_id = CustomerId::new(customer).unwrap();
        assert_eq!(persons.known_customer(&customer_id).await, Ok(None), "no key was made");
        let told = server.run(Some(Role::Admin), STATE, json!({ "c": customer })).await;
        assert_eq!(told["data"], json!({ "person": null }), "{told}");
    };
    refused(&Uuid::now_v7().to_string()).await;

    // An account's id that is written in another way is not the account, and one that was erased is not erased again.
    let ana = server.person("ana@example.com").await;
    let customer = customer_of(&server, &ana.id).await;
    refused(&customer.to_uppercase()).await;
    let erase = json!({ "person": { "customerId": customer }, "reason": "case 8" });
    let erased = server.done(Some(Role::Admin), "personErase", "person { state }", erase).await;
    assert_eq!(erased["person"]["state"], "ERASED");
    assert_eq!(refusal(&server.login(&ana.email, PASSWORD).await), "CREDENTIALS_INVALID");
    refused(&customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_alone_is_not_erased_since_its_account_would_stay() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    let hold = json!({ "person": { "customerId": ana.id }, "name": "case 7", "reason": "a lawsuit" });
    let held = server.done(Some(Role::Admin), "legalHoldPlace", "person { ids }", hold).await;
    let key = held["person"]["ids"][0].clone();
    let lift = json!({ "person": { "personId": key }, "name": "case 7" });
    server.done(Some(Role::Admin), "legalHoldLift", "person { ids }", lift).await;
    let erase = |person: Value| json!({ "person": person, "reason": "case 8" });
    let by_key = erase(json!({ "personId": key }));
    let refused = server.mutate(Some(Role::Admin), "personErase", "person { state }", by_key.clone()).await;
    assert_eq!(refusal(&refused), "PERSON_NOT_FOUND", "{refused}");
    assert!(refused["userErrors"][0]["message"].as_str().unwrap().contains("name the customer"), "{refused}");
    assert_eq!(server.login(&ana.email, PASSWORD).await["userErrors"], json!([]), "nothing was done");
    let by_customer = erase(json!({ "customerId": ana.id }));
    let erased = server.done(Some(Role::Admin), "personErase", "person { ids state }", by_customer).await;
    assert_eq!(erased["person"], json!({ "ids": [key], "state": "ERASED" }));
    assert_eq!(refusal(&server.login(&ana.email, PASSWORD).await), "CREDENTIALS_INVALID");
    let again = server.mutate(Some(Role::Admin), "personErase", "person { state }", by_key).await;
    assert_eq!(refusal(&again), "PERSON_ERASED", "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_key_was_erased_by_itself_can_still_be_erased() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    let customer = CustomerId::new(customer_of(&server, &ana.id).await).unwrap();
    let folder = server.folder;
    server.running.shutdown().await;
    let persons = persons_of(folder.path()).await;
    let key = persons.of_customer(&customer).await.unwrap();
    // As a version did that did not ask whose key it was.
    let alone = PersonEvent::from(PersonErased { customer_id: None });
    write(folder.path(), vec![(StreamId::new("person", key), alone.into(), Utc::now())]).await;
    persons.destroy_key(key).await.unwrap();

    let server = Server::reopen(folder).await;
    assert_eq!(server.login(&ana.email, PASSWORD).await["userErrors"], json!([]), "the account was left");
    let erase = json!({ "person": { "customerId": ana.id }, "reason": "case 8" });
    server.done(Some(Role::Admin), "personErase", "person { state }", erase).await;
    assert_eq!(refusal(&server.login(&ana.email, PASSWORD).await), "CREDENTIALS_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_erased_or_handed_out_by_half_while_the_views_are_behind() {
    let server = Server::start().await;
    let before = guests_cart(&server, "zofia@example.com").await;
    let views = rusqlite::Connection::open(server.folder.path().join("views.db")).unwrap();
    views.execute_batch("BEGIN IMMEDIATE").unwrap();
    let since = server.done(None, "cartCreate", "position", json!({ "currency": "EUR" })).await["position"].clone();
    let erase = "mutation($i: PersonEraseInput!) { personErase(input: $i) { position userErrors { code } } }";
    let input = json!({ "i": { "person": { "email": "zofia@example.com" }, "reason": "case 7" } });
    let refused = server.run(Some(Role::Admin), erase, input.clone()).await;
    assert_eq!(code(&refused), "NOT_YET_VISIBLE", "{refused}");
    let person = "{ person(email: \"zofia@example.com\") { data } }";
    let refused = server.run(Some(Role::Admin), person, json!({})).await;
    assert_eq!(code(&refused), "NOT_YET_VISIBLE", "{refused}");
    views.execute_batch("ROLLBACK").unwrap();

    let position = since.to_string();
    let caught_up = [("daybook-min-position", position.as_str())];
    let begun = Instant::now();
    while code(&server.send(None, "{ me { role } }", json!({}), &caught_up).await) != "none" {
        assert!(begun.elapsed() < Duration::from_secs(60), "the views do not come by position {position}");
    }
    assert_eq!(email_of(&server, &before).await, "zofia@example.com", "nothing was done");
    let erased = server.run(Some(Role::Admin), erase, input).await;
    assert_eq!(erased["data"]["personErase"]["userErrors"], json!([]), "{erased}");
    assert_eq!(email_of(&server, &before).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_erased_with_their_account_gets_no_key_again_by_what_they_still_hold() {
    let server = Server::start().await;
    let ana = server.person("ana@example.com").await;
    let customer = customer_of(&server, &ana.id).await;
    let token = server.token_of(&customer, Duration::from_secs(600));
    let asks = async |query: &str, input: Value| -> Value {
        let body = json!({ "query": query, "variables": { "i": input } }).to_string();
        server.post(body).bearer_auth(&token).send().await.unwrap().json().await.unwrap()
    };
    let create = "mutation($i: CartCreateInput!) { cartCreate(input: $i) { cart { id } } }";
    let cart = asks(create, json!({ "currency": "EUR" })).await["data"]["cartCreate"]["cart"]["id"].clone();
    let details = json!({ "cartId": cart, "email": "ana@example.com", "shippingAddress": home() });
    let update = "mutation($i: CartUpdateInput!) { cartUpdate(input: $i) { cart { email } userErrors { code } } }";
    let before = asks(update, details.clone()).await;
    assert_eq!(before["data"]["cartUpdate"]["cart"]["email"], "ana@example.com", "{before}");
    let erase = json!({ "person": { "customerId": ana.id }, "reason": "case 7" });
    server.done(Some(Role::Admin), "personErase", "position", erase).await;
    let refused = asks(update, details).await;
    assert_eq!(refused["data"]["cartUpdate"]["userErrors"][0]["code"], "PERSON_ERASED", "{refused}");
    let persons = persons_of(server.folder.path()).await;
    assert_eq!(persons.known_customer(&CustomerId::new(&customer).unwrap()).await, Ok(None), "no key was made");
    assert_eq!(email_of(&server, &cart).await, Value::Null);
}

/// What a mutation about a person answers to an administrator of this name.
async fn by(server: &Server, name: &str, mutation: &str, input: Value) -> Value {
    let token = server.running.token(Role::Admin, Some(name), Duration::from_secs(600)).unwrap();
    let kind = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
    let body = json!({ "query": one_input(mutation, &kind, "person { state }"), "variables": { "i": input } }).to_string();
    let answer: Value = server.post(body).bearer_auth(token).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer.get("errors"), None, "{mutation}: {answer}");
    answer["data"][mutation].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_is_turned_down_leaves_everything_and_can_be_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let rule = ServeConfig { erasure_approval: true, ..config(folder.path()) };
    let server = Server::configured(folder, rule).await;
    let zofia = "zofia@example.com";
    let (cart, person) = (guests_cart(&server, zofia).await, json!({ "email": zofia }));
    let (ask, agree) = (json!({ "person": person, "reason": "case 7" }), json!({ "person": person }));
    let reject = json!({ "person": person, "reason": "a lawsuit is near" });
    let waiting = async || {
        let query = "{ erasures(state: ERASURE_REQUESTED) { totalCount } }";
        server.run(Some(Role::Admin), query, json!({})).await["data"]["erasures"]["totalCount"].clone()
    };
    let outcome = |payload: &Value| (refusal(payload).to_owned(), payload["person"]["state"].as_str().unwrap_or("-").to_owned());
    let done = |state: &str| ("none".to_owned(), state.to_owned());
    assert_eq!(refusal(&by(&server, "ben", "personErasureReject", reject.clone()).await), "ERASURE_NOT_REQUESTED");
    assert_eq!(outcome(&by(&server, "ana", "personErase", ask.clone()).await), done("ERASURE_REQUESTED"));
    assert_eq!(waiting().await, 1);

    assert_eq!(outcome(&by(&server, "ben", "personErasureReject", reject).await), done("KEPT"));
    assert_eq!(waiting().await, 0);
    assert_eq!(email_of(&server, &cart).await, zofia);
    let read = "query($e: String) { person(email: $e) { state data } }";
    let told = server.run(Some(Role::Admin), read, json!({ "e": zofia })).await["data"]["person"].clone();
    assert!(told["state"] == "KEPT" && told["data"].to_string().contains("Calle Mayor 1"), "{told}");
    // What was turned down cannot be agreed to any more.
    assert_eq!(refusal(&by(&server, "eve", "personErasureApprove", agree.clone()).await), "ERASURE_NOT_REQUESTED");
    assert_eq!(email_of(&server, &cart).await, zofia);

    assert_eq!(outcome(&by(&server, "ana", "personErase", ask).await), done("ERASURE_REQUESTED"));
    assert_eq!(outcome(&by(&server, "ben", "personErasureApprove", agree).await), done("ERASED"));
    assert_eq!(email_of(&server, &cart).await, Value::Null);
}
