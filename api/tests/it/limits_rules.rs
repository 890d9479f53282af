//! How often who may ask: what a caller is told, what is refused, and what becomes of those who go on.

use std::time::Duration;

use api::{AllowedHost, ConnectionLimits, RateLimits, ServeConfig, TransportConfig, access::Role};
use futures::{SinkExt as _, StreamExt as _};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use crate::{
    server::{Server, code, config, parts},
    socket_rules::Socket,
    stream_rules::Events,
};

const LONG: Duration = Duration::from_secs(60);
const ME: &str = "{ me { actor } }";

/// A shop behind a proxy that is trusted, with these limits for those who come through it.
fn limited(address: &str, sign_in: &str) -> TransportConfig {
    let rates = RateLimits { address: address.parse().unwrap(), sign_in: sign_in.parse().unwrap(), ..RateLimits::default() };
    TransportConfig { rates: Some(rates), trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..TransportConfig::default() }
}

/// A request of somebody far away.
fn from(server: &Server, address: &str, query: &str) -> RequestBuilder {
    server.post(json!({ "query": query }).to_string()).header("x-forwarded-for", address)
}

fn said(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
}

#[tokio::test]
async fn requests_of_one_address_are_counted_told_and_refused_by_name() {
    let server = Server::reached(limited("3/h", "10/m")).await;
    for left in [2, 1, 0] {
        let response = from(&server, "203.0.113.9", ME).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(said(&response, "ratelimit-policy"), r#""address";q=3;w=3600"#);
        let now = said(&response, "ratelimit");
        assert!(now.starts_with(&format!(r#""address";r={left};t="#)), "{now}");
        assert_eq!(said(&response, "retry-after"), "");
    }
    for accept in ["application/json", "application/graphql-response+json", "text/event-stream"] {
        let response = from(&server, "203.0.113.9", ME).header("accept", accept).send().await.unwrap();
        let wait: u64 = said(&response, "retry-after").parse().unwrap();
        assert!((1..=1_200).contains(&wait), "{wait}");
        assert!(said(&response, "ratelimit").starts_with(r#""address";r=0;t="#));
        let (status, _, answer) = parts(response).await;
        assert_eq!((status, code(&answer), answer.get("data")), (429, "RATE_LIMITED", None), "{accept}");
    }
    assert_eq!(from(&server, "203.0.113.10", ME).send().await.unwrap().status(), 200, "another address");
    // A network of IPv6 is one address: whoever has one of it has all.
    for host in 1..=3 {
        assert_eq!(from(&server, &format!("2001:db8:0:1::{host}"), ME).send().await.unwrap().status(), 200);
    }
    assert_eq!(from(&server, "2001:db8:0:1:ffff::9", ME).send().await.unwrap().status(), 429);
    assert_eq!(from(&server, "2001:db8:0:2::1", ME).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_a_client_makes_up_about_its_address_does_not_help_it() {
    let server = Server::reached(limited("2/h", "10/m")).await;
    for (made_up, expected) in [("10.0.0.1", 200), ("198.51.100.1", 200), ("127.0.0.1", 429), ("nonsense", 429)] {
        let told = format!("{made_up}, 203.0.113.9");
        assert_eq!(from(&server, &told, ME).send().await.unwrap().status(), expected, "{told}");
    }
}

#[tokio::test]
async fn pages_and_tokens_that_do_not_hold_count_for_the_address() {
    let server = Server::reached(limited("4/h", "10/m")).await;
    let get = |path: &str| server.client.get(server.url(path)).header("x-forwarded-for", "203.0.113.9").send();
    assert_eq!(get("/schema.graphql").await.unwrap().status(), 200);
    assert_eq!(get("/nowhere").await.unwrap().status(), 404);
    let forged = || from(&server, "203.0.113.9", ME).bearer_auth("nonsense").send();
    assert_eq!(forged().await.unwrap().status(), 401);
    assert_eq!(forged().await.unwrap().status(), 401);
    assert_eq!(forged().await.unwrap().status(), 429);
    assert_eq!(get("/schema.graphql").await.unwrap().status(), 429);
}

#[tokio::test]
async fn what_a_browser_asks_before_a_page_sends_something_counts_and_brings_no_ban() {
    let folder = tempfile::tempdir().unwrap();
    let cors_origins = vec!["https://shop.example".parse().unwrap()];
    let transport = limited("4/h", "10/m");
    let config = ServeConfig { cors_origins, transport, ..config(folder.path()) };
    let server = Server::configured(folder, config).await;
    let ask = || {
        let asked = server.client.request(Method::OPTIONS, server.url("/graphql")).header("x-forwarded-for", "203.0.113.9");
        asked.header("origin", "https://shop.example").header("access-control-request-method", "POST").send()
    };
    for _ in 0..4 {
        assert_eq!(ask().await.unwrap().status(), 200);
    }
    for _ in 0..30 {
        assert_eq!(ask().await.unwrap().status(), 429);
    }
    // Its reader is at the end of the rate, and not banned: an account goes on.
    let body = json!({ "query": ME }).to_string();
    let refused = server.post(body.clone()).header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
    assert!(parts(refused).await.2.to_string().contains("too many requests (address)"));
    assert_eq!(server.post(body).header("x-forwarded-for", "203.0.113.10").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn this_machine_is_not_limited_unless_the_operator_wants_it() {
    let rates = limited("1/h", "1/h").rates;
    let server = Server::reached(TransportConfig { rates, ..TransportConfig::default() }).await;
    for _ in 0..20 {
        let response = server.post(json!({ "query": ME }).to_string()).send().await.unwrap();
        assert_eq!((response.status().as_u16(), said(&response, "ratelimit")), (200, String::new()));
    }
    let server = Server::reached(TransportConfig { rates, limit_local: true, ..TransportConfig::default() }).await;
    let ask = || server.post(json!({ "query": ME }).to_string()).send();
    assert_eq!(ask().await.unwrap().status(), 200);
    assert_eq!(ask().await.unwrap().status(), 429);
}

#[tokio::test]
async fn attempts_to_sign_in_are_counted_apart_wherever_they_stand_in_the_document() {
    let server = Server::reached(limited("1000/m", "4/h")).await;
    // None of these is valid: what counts is looked at before.
    let attempts = [
        ("mutation { login { x } }", 200),
        ("mutation { a: login { x } ...B } fragment B on Mutation { b: accountRegister { x } }", 200),
        ("mutation { passwordResetRequest { x } adminClaim { x } }", 429),
        ("mutation { login { x } }", 200),
        ("mutation { login { x } }", 429),
        ("mutation { ... on Mutation { x: loginSecondFactor { x } } }", 429),
    ];
    for (attempt, expected) in attempts {
        let response = from(&server, "203.0.113.9", attempt).send().await.unwrap();
        let policy = said(&response, "ratelimit-policy");
        assert!(policy.ends_with(r#""sign-in";q=4;w=3600"#), "{policy}");
        assert_eq!(response.status(), expected, "{attempt}");
    }
    assert_eq!(from(&server, "203.0.113.9", ME).send().await.unwrap().status(), 200, "all else goes on");
    assert_eq!(from(&server, "203.0.113.10", "mutation { login { x } }").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_api_key_has_a_limit_of_its_own() {
    let mut transport = limited("2/h", "10/m");
    transport.rates = transport.rates.map(|rates| RateLimits { api_key: "4/h".parse().unwrap(), ..rates });
    let server = Server::reached(transport).await;
    let (_, key) = api_key(&server).await;
    for expected in [200, 200, 200, 200, 429] {
        let response = from(&server, "203.0.113.9", ME).bearer_auth(&key).send().await.unwrap();
        assert_eq!(said(&response, "ratelimit-policy"), r#""api-key";q=4;w=3600"#);
        assert_eq!(response.status(), expected);
    }
    assert_eq!(from(&server, "203.0.113.10", ME).bearer_auth(&key).send().await.unwrap().status(), 429, "from elsewhere too");
    assert_eq!(from(&server, "203.0.113.9", ME).send().await.unwrap().status(), 200, "the address has used nothing");
}

#[tokio::test]
async fn an_account_has_a_limit_of_its_own_over_all_its_sessions() {
    let mut transport = limited("2/h", "10/m");
    transport.rates = transport.rates.map(|rates| RateLimits { account: "4/h".parse().unwrap(), ..rates });
    let server = Server::reached(transport).await;
    let (ana, ben) = (server.person("ana@example.com").await, server.person("ben@example.com").await);
    let ask = async |bearer: &str, address: &str| {
        let response = from(&server, address, ME).bearer_auth(bearer).send().await.unwrap();
        assert_eq!(said(&response, "ratelimit-policy"), r#""account";q=4;w=3600"#);
        let (status, _, answer) = parts(response).await;
        (status, code(&answer).to_owned())
    };
    let (answered, refused) = ((200, "none".to_owned()), (429, "RATE_LIMITED".to_owned()));
    for expected in [&answered, &answered, &answered, &answered, &refused] {
        assert_eq!(ask(&ana.access, "203.0.113.9").await, *expected);
    }
    let on_another_device = server.logged_in("ana@example.com").await;
    assert_eq!(ask(&on_another_device.access, "203.0.113.10").await, refused, "from elsewhere, with another token, too");
    assert_eq!(ask(&ben.access, "203.0.113.9").await, answered, "another account from the same address");
    for _ in 0..2 {
        let by_nobody = from(&server, "203.0.113.9", ME).send().await.unwrap();
        assert_eq!(by_nobody.status(), 200, "the address has used nothing");
    }
}

/// The id of an API key that may read the log, and the key.
pub async fn api_key(server: &Server) -> (Value, String) {
    let input = json!({ "label": "a test", "permissions": ["VIEW_EVENTS"] });
    let made = server.done(Some(Role::Admin), "apiKeyCreate", "key apiKey { id }", input).await;
    (made["apiKey"]["id"].clone(), made["key"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn who_goes_on_against_a_limit_is_banned_from_everything_and_the_log_says_so_without_an_address() {
    let server = Server::reached(limited("1/h", "10/m")).await;
    let ask = async || parts(from(&server, "203.0.113.9", ME).send().await.unwrap()).await.2;
    let banned = async {
        loop {
            let answer = ask().await;
            if answer["errors"][0]["message"].as_str().is_some_and(|message| message.contains("banned")) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let answer = tokio::time::timeout(LONG, banned).await.unwrap();
    assert_eq!(code(&answer), "RATE_LIMITED");
    for path in ["/", "/health/ready", "/graphql?query=%7Bme%7Bactor%7D%7D", "/nowhere"] {
        let response = server.client.get(server.url(path)).header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
        assert_eq!(response.status(), 429, "{path}");
        assert!(said(&response, "retry-after").parse::<u64>().unwrap() <= 60);
    }
    // The body is never looked at: this one says that it is far longer than it may be.
    let large = from(&server, "203.0.113.9", &"x".repeat(2_000_000)).send().await.map(|response| response.status().as_u16());
    assert!(large.is_err() || large.is_ok_and(|status| status == 429));
    assert_eq!(from(&server, "203.0.113.10", ME).send().await.unwrap().status(), 200);

    let query = "subscription { events(fromPosition: 0, types: [\"CallerBanned\", \"CallerLimited\"]) { type change } }";
    let request = server.post(json!({ "query": query }).to_string());
    let mut events = Events::of(request.bearer_auth(server.token(Role::Auditor, LONG * 5))).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = events.answer().await["data"]["events"].clone();
        let caller = event["change"]["caller"].as_str().unwrap();
        assert!(caller.starts_with("address:") && !event.to_string().contains("203.0.113"), "{event}");
        if !seen.contains(&event["type"]) {
            seen.push(event["type"].clone());
        }
    }
    let metrics = server.client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\ndaybook_bans_total 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_private_network_is_limited_but_neither_banned_nor_counted_where_all_share_it() {
    let server = Server::reached(limited("5/h", "1/h")).await;
    for _ in 0..3 {
        assert_eq!(from(&server, "192.168.0.7", "mutation { login { x } }").send().await.unwrap().status(), 200);
    }
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(13) {
        let (_, _, answer) = parts(from(&server, "192.168.0.7", ME).send().await.unwrap()).await;
        let message = answer["errors"][0]["message"].as_str().unwrap_or("");
        assert!(!message.contains("banned"), "{message}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// A socket of somebody far away, or the status with which it is refused.
async fn socket(server: &Server, address: &str) -> Result<impl Sized, u16> {
    let mut request = server.url("/graphql").replace("http", "ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    request.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_address_has_so_many_sockets_and_streams_open_and_gets_room_back() {
    let connections = ConnectionLimits { streams_per_address: 2, ..ConnectionLimits::default() };
    let server = Server::reached(TransportConfig { connections, ..limited("1000/m", "10/m") }).await;
    let first = socket(&server, "203.0.113.9").await.unwrap_or_else(|status| panic!("{status}"));
    let (_, key) = api_key(&server).await;
    let follow = || {
        let query = "subscription { events(fromPosition: 0) { position } }";
        from(&server, "203.0.113.9", query).bearer_auth(&key).header("accept", "text/event-stream").send()
    };
    let stream = follow().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(socket(&server, "203.0.113.9").await.err(), Some(429));
    let (status, _, answer) = parts(follow().await.unwrap()).await;
    assert_eq!((status, code(&answer)), (429, "STREAM_LIMIT"));
    assert!(socket(&server, "203.0.113.10").await.is_ok(), "another address");
    drop((first, stream));
    let room = async {
        while socket(&server, "203.0.113.9").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, room).await.unwrap();
}

#[tokio::test]
async fn operations_on_a_socket_count_as_requests_do() {
    let transport = TransportConfig { limit_local: true, trusted_proxies: Vec::new(), ..limited("4/h", "10/m") };
    let server = Server::reached(transport).await;
    // Opening it was the first.
    let mut socket = Socket::ready(&server, None).await;
    for id in ["1", "2", "3"] {
        socket.subscribe(id, ME).await;
        assert_eq!(socket.next().await["type"], "next");
        assert_eq!(socket.next().await["type"], "complete");
    }
    socket.subscribe("4", ME).await;
    let error = socket.next().await;
    assert_eq!((&error["type"], &error["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("RATE_LIMITED")));
}

#[tokio::test]
async fn what_is_no_operation_on_a_socket_counts_too() {
    let transport = TransportConfig { limit_local: true, trusted_proxies: Vec::new(), ..limited("3/h", "10/m") };
    let server = Server::reached(transport).await;
    // Opening it was the first.
    let mut socket = Socket::ready(&server, None).await;
    for expected in ["DOCUMENT_NOT_FOUND", "DOCUMENT_NOT_FOUND", "RATE_LIMITED"] {
        socket.send(json!({ "type": "subscribe", "id": "1", "payload": { "documentId": "nowhere" } })).await;
        assert_eq!(socket.next().await["payload"][0]["extensions"]["code"], expected);
    }
}

#[tokio::test]
async fn a_mutation_by_get_is_no_attempt_to_sign_in() {
    let server = Server::reached(limited("1000/m", "1/h")).await;
    for _ in 0..5 {
        let url = server.url("/graphql?query=mutation%7Blogin%7Bx%7D%7D");
        let response = server.client.get(url).header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert!(!said(&response, "ratelimit-policy").contains("sign-in"));
    }
    let attempt = from(&server, "203.0.113.9", "mutation { login { x } }").send().await.unwrap();
    assert_eq!(attempt.status(), 200);
}

#[tokio::test]
async fn a_page_of_another_site_brings_no_ban_on_its_readers() {
    let server = Server::reached(limited("1/h", "10/m")).await;
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(13) {
        let response = from(&server, "203.0.113.9", ME).header("sec-fetch-site", "cross-site").send().await.unwrap();
        let (_, _, answer) = parts(response).await;
        let message = answer["errors"][0]["message"].as_str().unwrap_or("");
        assert!(!message.contains("banned"), "{message}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test]
async fn whatever_comes_on_the_paths_of_operations_counts_once() {
    let server = Server::reached(limited("4/h", "10/m")).await;
    let send = |request: RequestBuilder| request.header("x-forwarded-for", "203.0.113.9").send();
    assert_eq!(send(server.client.put(server.url("/graphql"))).await.unwrap().status(), 405);
    assert!(send(server.client.get(server.url("/graphql/ws"))).await.unwrap().status().is_client_error());
    assert!(send(server.client.get(server.url("/graphql")).header("upgrade", "x")).await.unwrap().status().is_client_error());
    assert!(socket(&server, "203.0.113.9").await.is_ok(), "the fourth, and counted once");
    assert_eq!(send(server.client.put(server.url("/graphql"))).await.unwrap().status(), 429);
    assert_eq!(socket(&server, "203.0.113.9").await.err(), Some(429));
}

#[tokio::test]
async fn only_hosts_that_are_named_are_served_where_some_are() {
    let allowed_hosts: Vec<AllowedHost> = vec!["shop.example".parse().unwrap()];
    let server = Server::reached(TransportConfig { allowed_hosts, ..TransportConfig::default() }).await;
    let ask = |host: &str| server.post(json!({ "query": ME }).to_string()).header("host", host).send();
    assert_eq!(ask("shop.example").await.unwrap().status(), 200);
    assert_eq!(ask("Shop.Example:8080").await.unwrap().status(), 200);
    for other in ["evil.example", "127.0.0.1", "shop.example.evil.example"] {
        let (status, _, answer) = parts(ask(other).await.unwrap()).await;
        assert_eq!((status, code(&answer)), (421, "HOST_NOT_ALLOWED"), "{other}");
    }
    // A balancer has its own name for the node.
    assert_eq!(server.client.get(server.url("/health/live")).send().await.unwrap().status(), 200);
    assert_eq!(server.client.get(server.url("/metrics")).send().await.unwrap().status(), 421);
}

#[tokio::test]
async fn a_socket_and_a_stream_end_when_the_key_is_taken_back_elsewhere() {
    let server = Server::start().await;
    let (id, key) = api_key(&server).await;
    let query = "subscription { events { position } }";
    let mut socket = Socket::ready(&server, Some(key.clone())).await;
    socket.subscribe("1", query).await;
    let request = server.post(json!({ "query": query }).to_string()).bearer_auth(&key);
    let mut events = Events::of(request).await;
    server.done(Some(Role::Admin), "apiKeyRevoke", "apiKey { id }", json!({ "apiKeyId": id })).await;
    let closed = async {
        loop {
            let message = socket.next().await;
            if message["type"] != "next" {
                return message;
            }
        }
    };
    assert_eq!(tokio::time::timeout(LONG, closed).await.unwrap(), json!(4403));
    let ended = async {
        loop {
            let answer = events.answer().await;
            if answer.get("errors").is_some() {
                return answer;
            }
        }
    };
    assert_eq!(code(&tokio::time::timeout(LONG, ended).await.unwrap()), "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_the_socket_by_name() {
    let server = Server::start().await;
    let mut request = server.url("/graphql").replace("http", "ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    socket.send(Message::text(format!("{{\"type\":\"ping\"}}{}", " ".repeat(300 * 1024)))).await.unwrap();
    match socket.next().await.unwrap().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_accepts_event_streams_among_others_gets_one_for_a_subscription_and_json_for_a_query() {
    let server = Server::start().await;
    let accept = "application/json, text/event-stream";
    let ask = |query: &str| {
        let request = server.post(json!({ "query": query }).to_string()).header("accept", accept);
        request.bearer_auth(server.token(Role::Auditor, LONG)).send()
    };
    let response = ask("subscription { events { position } }").await.unwrap();
    assert_eq!(
        (response.status().as_u16(), said(&response, "content-type")),
        (200, "text/event-stream; charset=utf-8".to_owned())
    );
    let (status, media_type, answer) = parts(ask(ME).await.unwrap()).await;
    assert_eq!((status, media_type.as_str()), (200, "application/json; charset=utf-8"));
    assert_eq!(answer["extensions"]["cost"], json!({ "requested": 2, "limit": 20_000 }));
}
