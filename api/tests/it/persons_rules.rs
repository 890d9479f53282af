//! Persons: who is erased only with others' consent, or not at all.

use serde_json::json;

use crate::{
    people::{PASSWORD, refusal},
    server::Server,
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
