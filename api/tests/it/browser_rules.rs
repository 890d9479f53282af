//! What a browser is told, so that a page of a stranger can neither act for its reader nor read or show what is the shop's.

use api::{AllowedHost, ServeConfig, TransportConfig};
use reqwest::{Method, header::HeaderMap};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest};

use crate::server::{Server, code, config, parts};

const SHOP: &str = "https://shop.example";
const STRANGER: &str = "https://shop.example.evil.example";

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

/// What a browser asks before it lets a page of an origin send what a client sends.
async fn preflight(server: &Server, origin: &str) -> (u16, HeaderMap) {
    let request = server.client.request(Method::OPTIONS, server.url("/graphql")).header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    let response =
        request.header("access-control-request-headers", "authorization,content-type,idempotency-key").send().await.unwrap();
    (response.status().as_u16(), response.headers().clone())
}

/// The headers of an answer to a page of an origin.
async fn answered(server: &Server, origin: &str) -> HeaderMap {
    let request = server.post(json!({ "query": "{ me { role } }" }).to_string()).header("origin", origin);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.headers().clone()
}

#[tokio::test]
async fn no_page_of_another_origin_may_ask_unless_the_operator_says_so() {
    let server = Server::start().await;
    let (status, headers) = preflight(&server, SHOP).await;
    assert_eq!((status, headers.get("access-control-allow-origin")), (405, None));
    assert_eq!(answered(&server, SHOP).await.get("access-control-allow-origin"), None);
}

#[tokio::test]
async fn pages_of_exactly_the_origins_named_may_ask_and_without_credentials() {
    let server = Server::for_origins(&["http://localhost:5173", SHOP]).await;
    let (status, headers) = preflight(&server, SHOP).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (200, &SHOP.parse().unwrap()));
    assert_eq!(headers["access-control-allow-methods"], "GET,POST");
    for allowed in ["authorization", "content-type", "daybook-min-position", "daybook-reason", "idempotency-key"] {
        assert!(headers["access-control-allow-headers"].to_str().unwrap().split(',').any(|name| name == allowed), "{allowed}");
    }
    let headers = answered(&server, SHOP).await;
    assert_eq!(headers["access-control-allow-origin"], SHOP);
    assert_eq!(headers["access-control-expose-headers"], "x-correlation-id,retry-after,ratelimit-policy,ratelimit");
    assert!(headers["vary"].to_str().unwrap().contains("origin"));
    assert_eq!(headers.get("access-control-allow-credentials"), None);

    for other in [STRANGER, "http://shop.example", "https://shop.example:8443", "null"] {
        assert_eq!(preflight(&server, other).await.1.get("access-control-allow-origin"), None, "{other}");
        assert_eq!(answered(&server, other).await.get("access-control-allow-origin"), None, "{other}");
    }
    let health = server.client.get(server.url("/health/ready")).header("origin", SHOP).send().await.unwrap();
    assert_eq!(health.headers().get("access-control-allow-origin"), None, "only operations are for other origins");
}

#[tokio::test]
async fn a_page_can_read_why_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let allowed_hosts: Vec<AllowedHost> = vec!["shop.example".parse().unwrap()];
    let transport = TransportConfig { allowed_hosts, ..TransportConfig::default() };
    let config = ServeConfig { cors_origins: vec![SHOP.parse().unwrap()], transport, ..config(folder.path()) };
    let server = Server::configured(folder, config).await;
    let refused = server.post("{}").header("host", "evil.example").header("origin", SHOP).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["access-control-allow-origin"]), (421, &SHOP.parse().unwrap()));
    let (status, headers) = preflight(&server, SHOP).await;
    assert_eq!((status, &headers["x-content-type-options"]), (200, &"nosniff".parse().unwrap()));
}

#[tokio::test]
async fn a_page_of_a_stranger_opens_no_socket() {
    let server = Server::for_origins(&[SHOP]).await;
    let own = format!("http://{}", server.running.address());
    for (path, origin, expected) in [
        ("/graphql", SHOP, None),
        ("/graphql/ws", own.as_str(), None),
        ("/graphql", STRANGER, Some(403)),
        ("/graphql/ws", "null", Some(403)),
    ] {
        let mut request = server.url(path).replace("http", "ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let refused = match tokio_tungstenite::connect_async(request).await {
            Ok(_) => None,
            Err(Error::Http(response)) => Some(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(refused, expected, "{path} {origin}");
    }
}
