//! The shop as it was: served beside the shop as it is, the same in every list and report, and unchangeable.

use std::time::Duration;

use api::{ServeConfig, StartError, access::Role};
use event_store::{Moment, PastError};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    server::{Server, code, config, parts},
    shop::{full_cart, paid_order, tea},
};

/// Another server over the same folder, which shows it as it was.
async fn past(server: &Server, as_of: Option<Moment>) -> Server {
    let config = ServeConfig { read_only: true, as_of, ..config(server.folder.path()) };
    Server::configured(TempDir::new().unwrap(), config).await
}

/// What staff see of the whole shop.
async fn everything(server: &Server) -> Value {
    let query =
        "{ orders(first: 100) { totalCount nodes { number status total { gross { amountMinor } } lines { sku quantity } } }
                   products(first: 100) { totalCount nodes { title state variants { sku price(currency: \"EUR\") { amount } } } }
                   stockLevels(first: 100) { nodes { sku onHand reserved committed available } }
                   payments(first: 100) { nodes { status captured { amountMinor } } }
                   journal(first: 100) { totalCount nodes { account debit { amountMinor } credit { amountMinor } } } }";
    let answer = server.run(Some(Role::Admin), query, json!({})).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].clone()
}

async fn head(server: &Server) -> u64 {
    server.ask("{ log { head } }").await["data"]["log"]["head"].as_u64().unwrap()
}

#[tokio::test]
async fn a_shop_is_shown_as_it_was_beside_the_one_that_goes_on() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let bought = paid_order(&server, "TEA-100", 2).await;
    let (then, seen) = (head(&server).await, everything(&server).await);
    tea(&server, "TEA-200", "9.00", "EUR", 10).await;
    paid_order(&server, "TEA-100", 3).await;
    assert_ne!(everything(&server).await, seen);

    let past = past(&server, Some(Moment::Position(then))).await;
    assert_eq!(everything(&past).await, seen);
    let answer = past.ask("{ log { head readOnly } }").await;
    assert_eq!(answer["data"]["log"], json!({ "head": then, "readOnly": true }));
    assert_eq!(past.running.as_of().unwrap()["position"], then);
    assert_eq!(past.running.admin_link().await.unwrap(), None);
    let id = &bought["order"]["id"];
    let query = "query($id: ID!, $p: Long) { order(id: $id) { status } then: order(id: $id, asOf: { position: $p }) { status } }";
    let answer = past.run(Some(Role::Support), query, json!({ "id": id, "p": then + 1 })).await;
    assert_eq!((&answer["data"]["order"]["status"], code(&answer)), (&json!("PAID"), "BAD_USER_INPUT"), "{answer}");
    let ready = past.client.get(past.url("/health/ready")).send().await.unwrap();
    let (status, _, report) = parts(ready).await;
    assert_eq!((status, &report["as_of"]["position"], &report["processes"]), (200, &json!(then), &json!([])));
}

#[tokio::test]
async fn nothing_of_the_past_is_changed_and_no_event_is_written() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let cart = full_cart(&server, "TEA-100", 1, "EUR").await;
    let then = head(&server).await;
    let past = past(&server, None).await;
    let mutations = [
        "mutation($c: ID!) { cartCheckout(input: { cartId: $c }) { position } }",
        "mutation($c: ID!) { cartUpdate(input: { cartId: $c }) { position } }",
        "mutation($c: ID!) { orderCancel(input: { orderId: $c, reason: \"why not\" }) { position } }",
        "mutation { accountLogin(input: { email: \"ana@example.com\", password: \"wrong wrong\" }) { userErrors { code } } }",
    ];
    for mutation in mutations {
        let answer = past.run(Some(Role::Admin), mutation, json!({ "c": cart })).await;
        assert_eq!((code(&answer), answer.get("data")), ("READ_ONLY", None), "{mutation}: {answer}");
    }
    // What a stranger may not see is refused here too, and nothing records it.
    let answer = past.ask("{ orders { totalCount } }").await;
    assert_eq!(code(&answer), "FORBIDDEN", "{answer}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    past.running.shutdown().await;
    assert_eq!(head(&server).await, then);
    server.done(None, "cartCheckout", "order { id }", json!({ "cartId": cart })).await;
}

#[tokio::test]
async fn rights_are_those_of_now_whatever_the_moment() {
    let server = Server::start().await;
    let (id, key) = crate::limits_rules::api_key(&server).await;
    let bearer = format!("Bearer {key}");
    let past = past(&server, Some(Moment::Position(0))).await;
    let ask = || async {
        let request = past.post(json!({ "query": "{ events { totalCount } }" }).to_string()).header("authorization", &bearer);
        parts(request.send().await.unwrap()).await
    };
    // The key is younger than the moment, and holds.
    let (_, _, answer) = ask().await;
    assert_eq!(answer["data"]["events"]["totalCount"], 0, "{answer}");
    server.done(Some(Role::Admin), "apiKeyRevoke", "apiKey { id }", json!({ "apiKeyId": id })).await;
    let mut status = 200;
    for _ in 0..50 {
        status = ask().await.0;
        if status == 401 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status, 401, "a key that was taken back does not open the past");
}

#[tokio::test]
async fn the_views_of_a_moment_are_built_once_and_those_of_another_log_are_not_taken_for_them() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let then = head(&server).await;
    let versions = "{ projections { name position state } }";
    for _ in 0..2 {
        let past = past(&server, Some(Moment::Position(then))).await;
        let answer = past.run(Some(Role::Admin), versions, json!({})).await;
        let projections = answer["data"]["projections"].as_array().unwrap().clone();
        assert!(projections.iter().all(|projection| projection["position"] == then && projection["state"] == "LIVE"));
        past.running.shutdown().await;
    }
    let views = server.folder.path().join("as-of").join(then.to_string()).join("views.db");
    assert!(views.exists());
    // The same folder under another log, as after a restore.
    let other = Server::start().await;
    tea(&other, "COFFEE", "6.00", "EUR", 10).await;
    assert_eq!(head(&other).await, then);
    let stale = other.folder.path().join("as-of").join(then.to_string());
    std::fs::create_dir_all(&stale).unwrap();
    std::fs::copy(&views, stale.join("views.db")).unwrap();
    let past = past(&other, Some(Moment::Position(then))).await;
    assert_eq!(everything(&past).await, everything(&other).await);
}

#[tokio::test]
async fn views_of_a_history_that_is_no_more_are_built_anew() {
    let (server, other) = (Server::start().await, Server::start().await);
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    tea(&other, "COFFEE", "6.00", "EUR", 10).await;
    let then = head(&server).await;
    assert_eq!(head(&other).await, then);
    let of = |server: &Server| server.folder.path().join("as-of").join(then.to_string());
    past(&other, Some(Moment::Position(then))).await.running.shutdown().await;
    past(&server, Some(Moment::Position(then))).await.running.shutdown().await;
    // As after a restore of the same log, which went on otherwise since: its identity is the same, its last event is not.
    std::fs::copy(of(&other).join("history"), of(&server).join("history")).unwrap();
    std::fs::write(of(&server).join("before"), "").unwrap();
    let again = past(&server, Some(Moment::Position(then))).await;
    assert_eq!(everything(&again).await, everything(&server).await);
    assert!(!of(&server).join("before").exists(), "what was there was taken away");
    again.running.shutdown().await;
    std::fs::write(of(&server).join("before"), "").unwrap();
    past(&server, Some(Moment::Position(then))).await.running.shutdown().await;
    assert!(of(&server).join("before").exists(), "views of this history are taken up");
}

#[tokio::test]
async fn who_only_reads_makes_no_vault_and_no_key() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    server.running.shutdown().await;
    let (folder, away) = (server.folder.path(), TempDir::new().unwrap());
    for name in ["vault.key", "vault.db"] {
        std::fs::rename(folder.join(name), away.path().join(name)).unwrap();
        let look = ServeConfig { read_only: true, ..config(folder) };
        let refused = api::start(look).await.err().unwrap();
        assert!(matches!(refused, StartError::Accounts(_)), "{refused}");
        assert!(!folder.join(name).exists(), "{name} was made");
        std::fs::rename(away.path().join(name), folder.join(name)).unwrap();
    }
    let look = ServeConfig { read_only: true, ..config(folder) };
    api::start(look).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn a_moment_that_the_log_has_not_reached_is_refused() {
    let server = Server::start().await;
    let config = ServeConfig { read_only: true, as_of: Some(Moment::Position(1_000)), ..config(server.folder.path()) };
    let refused = api::start(config).await.err().unwrap();
    assert!(matches!(refused, StartError::Past(PastError::NotYet { position: 1_000, .. })), "{refused}");
    let tomorrow = Some(Moment::Recorded(chrono::Utc::now() + chrono::TimeDelta::days(1)));
    let tomorrow = ServeConfig { read_only: true, as_of: tomorrow, ..crate::server::config(server.folder.path()) };
    let refused = api::start(tomorrow).await.err().unwrap();
    assert!(matches!(refused, StartError::Past(PastError::YetToCome { .. })), "{refused}");
    let nowhere = ServeConfig { read_only: true, ..crate::server::config(&server.folder.path().join("nothing-here")) };
    assert!(matches!(api::start(nowhere).await.err().unwrap(), StartError::DataFolder(_)));
}
