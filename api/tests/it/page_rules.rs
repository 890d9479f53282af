//! What is there besides operations, and what is not in production.

use std::time::Duration;

use api::{TransportConfig, access::Role};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::server::{Server, code, parts};

const SCHEMA: &str = "{ __schema { queryType { name } } }";

async fn production() -> Server {
    Server::reached(TransportConfig { production: true, ..TransportConfig::default() }).await
}

async fn as_analyst(server: &Server, query: &str) -> Value {
    server.run(Some(Role::Analyst), query, json!({})).await
}

#[tokio::test]
async fn in_production_nobody_in_particular_sees_the_schema_or_is_told_names() {
    let server = production().await;
    for hidden in
        [SCHEMA, "{ __type(name: \"Query\") { name } }", "{ ...A } fragment A on Query { ... { x: __schema { description } } }"]
    {
        let answer = server.ask(hidden).await;
        assert_eq!((code(&answer), answer.get("data")), ("INTROSPECTION_DISABLED", None), "{hidden}");
    }
    assert_eq!(server.ask("{ __typename }").await["data"]["__typename"], "Query");
    for misspelt in ["{ me { acto } }", "{ products(firs: 1) { totalCount } }"] {
        let answer = server.ask(misspelt).await;
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(code(&answer) == "GRAPHQL_VALIDATION_FAILED" && !message.contains("Did you mean"), "{message}");
        let answer = as_analyst(&server, misspelt).await;
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("Did you mean"), "{answer}");
    }
    assert_eq!(as_analyst(&server, SCHEMA).await["data"]["__schema"]["queryType"]["name"], "Query");
    let get = |path: &str| server.client.get(server.url(path));
    for path in ["/", "/schema.graphql"] {
        assert_eq!(get(path).send().await.unwrap().status(), 404, "{path}");
    }
    let token = server.token(Role::Analyst, Duration::from_secs(600));
    assert_eq!(get("/schema.graphql").bearer_auth(token).send().await.unwrap().status(), 200);
    assert_eq!(get("/schema.graphql").bearer_auth("nonsense").send().await.unwrap().status(), 401);
    assert_eq!(get("/health/ready").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn in_production_nothing_is_there_that_is_for_trying_the_shop_out() {
    let server = production().await;
    for path in ["/", "/graphiql/page.js", "/graphiql/graphiql.min.js", "/graphiql/react.production.min.js"] {
        assert_eq!(server.client.get(server.url(path)).send().await.unwrap().status(), 404, "{path}");
    }
    let planted = server.ask("{ products(first: 1) { totalCount } }").await;
    assert_eq!(planted["data"]["products"]["totalCount"], 0, "nothing of the demo: {planted}");
}

#[tokio::test]
async fn without_production_all_of_it_is_there() {
    let server = Server::start().await;
    assert_eq!(server.client.get(server.url("/graphiql/page.js")).send().await.unwrap().status(), 200);
    assert_eq!(server.ask(SCHEMA).await["data"]["__schema"]["queryType"]["name"], "Query");
    assert!(server.ask("{ me { acto } }").await.to_string().contains("Did you mean"));
    for path in ["/", "/schema.graphql"] {
        assert_eq!(server.client.get(server.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn the_keys_that_sign_tokens_are_published_without_their_secret() {
    let server = Server::start().await;
    let response = server.client.get(server.url("/.well-known/jwks.json")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/jwk-set+json");
    assert_eq!(response.headers()["cache-control"], "public, max-age=300");
    let keys: Value = response.json().await.unwrap();
    let token = server.token(Role::Analyst, Duration::from_secs(600));
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!((&key["kty"], &key["crv"], key.get("d")), (&json!("OKP"), &json!("Ed25519"), None));
}

#[tokio::test]
async fn the_page_of_accounts_and_its_parts_are_served_under_a_policy_of_their_own() {
    let server = Server::start().await;
    let get = |path: &str| server.client.get(server.url(path)).send();
    let response = get("/account").await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let (status, media_type, page) = parts(response).await;
    assert_eq!((status, media_type.as_str()), (200, "text/html; charset=utf-8"));
    let page = page.as_str().unwrap();
    let parts_of_the_page: Vec<_> = page.split(['"', '\'']).filter(|part| part.starts_with("/account/")).collect();
    assert!(parts_of_the_page.len() >= 2);
    for part in parts_of_the_page {
        assert_eq!(get(part).await.unwrap().status(), 200, "{part}");
    }
    assert_eq!(get("/account/nothing").await.unwrap().status(), 404);
    let (status, media_type, settings) = parts(get("/account/settings.json").await.unwrap()).await;
    assert_eq!((status, media_type.as_str()), (200, "application/json"));
    assert_eq!(settings, json!({ "passkeys": true, "oidcIssuer": null }));
}

#[tokio::test]
async fn a_path_that_leads_nowhere_says_so_in_the_words_of_every_refusal() {
    let server = Server::start().await;
    for path in ["/nothing", "/graphql/nothing", "/account/nothing", "/graphiql/nothing", "/health"] {
        let (status, media_type, answer) = parts(server.client.get(server.url(path)).send().await.unwrap()).await;
        assert_eq!((status, media_type.as_str()), (404, "application/json; charset=utf-8"), "{path}");
        assert_eq!((code(&answer), answer.get("data")), ("NOT_FOUND", None), "{path}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("/graphql"), "{answer}");
    }
}
