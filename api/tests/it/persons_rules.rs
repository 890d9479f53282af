//! Persons: who is not erased, by which ids they are found, and who is taken for whom.

use api::access::Role;
use serde_json::json;

use crate::{
    people::{PASSWORD, refusal},
    server::Server,
    shop::{ORDER, home, paid_order, tea},
};

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
    let asked = async |query: &str, id: &serde_json::Value| {
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
