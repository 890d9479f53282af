//! What a browser is told, so that a page of a stranger can neither act for its reader nor read or show what is the shop's.

use serde_json::json;

use crate::server::{Server, code, parts};

#[tokio::test]
async fn every_answer_says_what_a_browser_must_not_do_with_it() {
    let server = Server::start().await;
    let query = server.url("/graphql?query=%7Bme%7Brole%7D%7D");
    let paths = ["/", "/graphiql/page.js", "/schema.graphql", "/health/live", "/health/ready", "/metrics", "/none"];
    let pages = paths.map(|path| server.client.get(server.url(path)));
    let asked =
        [server.client.get(&query), server.client.put(&query), server.post("{"), server.client.post(server.url("/graphql"))];
    for request in pages.into_iter().chain(asked) {
        let response = request.send().await.unwrap();
        let (url, headers) = (response.url().clone(), response.headers());
        let said = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(said("x-content-type-options"), "nosniff", "{url}");
        assert_eq!(said("x-frame-options"), "DENY", "{url}");
        assert_eq!(said("referrer-policy"), "no-referrer", "{url}");
        let policy = said("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && policy.ends_with("frame-ancestors 'none'"), "{url}: {policy}");
        let kept = if url.path().starts_with("/graphiql/") { "max-age=86400" } else { "no-store" };
        assert_eq!(said("cache-control"), kept, "{url}");
    }
}

/// A form, and a script that asks nobody first, can send these types and no others to another origin.
#[tokio::test]
async fn what_a_page_of_another_origin_can_send_unasked_is_refused_and_changes_nothing() {
    let server = Server::start().await;
    let mutation = "mutation { cartCreate(input: { currency: \"EUR\" }) { position } }";
    let position = async || server.ask(mutation).await["data"]["cartCreate"]["position"].as_u64().unwrap();
    let before = position().await;
    let body = json!({ "query": mutation }).to_string();
    for simple in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let request = server.client.post(server.url("/graphql")).header("content-type", simple).body(body.clone());
        let (status, _, answer) = parts(request.send().await.unwrap()).await;
        assert_eq!((status, code(&answer)), (415, "UNSUPPORTED_MEDIA_TYPE"), "{simple}");
    }
    let untyped = server.client.post(server.url("/graphql")).body(body).send().await.unwrap();
    assert_eq!(untyped.status(), 415);
    assert_eq!(position().await, before + 1, "nothing was written in between");
}
