//! Server-sent events: what the distinct connections mode of graphql-sse writes, and what ends it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use api::access::Role;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::server::{Server, code, parts};

const LONG: Duration = Duration::from_secs(60);
const EVENTS: &str = "subscription { events(fromPosition: 0) { position } }";

/// A response that is read event by event.
pub struct Events {
    response: Response,
    text: String,
}

impl Events {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        let shown = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((response.status().as_u16(), shown("content-type")), (200, "text/event-stream; charset=utf-8".to_owned()));
        assert_eq!(shown("x-accel-buffering"), "no");
        Self { response, text: String::new() }
    }

    /// What an auditor follows.
    async fn followed(server: &Server, ttl: Duration) -> Self {
        let request = server.post(json!({ "query": EVENTS }).to_string());
        Self::of(request.bearer_auth(server.token(Role::Auditor, ttl))).await
    }

    /// As [`Self::followed`], once what the auditor is shown has become the first event itself.
    async fn followed_in_silence(server: &Server, ttl: Duration) -> Self {
        let mut events = Self::followed(server, ttl).await;
        assert_eq!(events.answer().await["data"], json!({ "events": { "position": 1 } }));
        events
    }

    /// The next lines up to an empty one, which may be a comment; none at the end of the response.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(LONG, self.response.chunk()).await.unwrap().unwrap()?;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// The next event: its name and its data.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block().await?;
            if block == ":" {
                continue;
            }
            let (event, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata:").unwrap();
            let data = if data.is_empty() { Value::Null } else { serde_json::from_str(data).unwrap() };
            return Some((event.to_owned(), data));
        }
    }

    /// The next answer of the operation.
    pub async fn answer(&mut self) -> Value {
        let (event, data) = self.next().await.unwrap();
        assert_eq!(event, "next", "{data}");
        data
    }

    /// That the operation ends here, and the response with it.
    async fn ends(&mut self) {
        assert_eq!(self.next().await, Some(("complete".to_owned(), Value::Null)));
        assert_eq!(self.next().await, None);
    }
}

#[tokio::test]
async fn a_query_or_a_mutation_has_one_answer_and_ends() {
    let server = Server::start().await;
    let query = json!({ "query": "{ me { role } }" }).to_string();
    for path in ["/graphql", "/graphql/stream"] {
        let by_post = server.client.post(server.url(path)).header("content-type", "application/json").body(query.clone());
        let by_get = server.client.get(server.url(&format!("{path}?query=%7Bme%7Brole%7D%7D")));
        for request in [by_post, by_get] {
            let mut events = Events::of(request).await;
            assert_eq!(events.answer().await["data"], json!({ "me": { "role": "CUSTOMER" } }));
            events.ends().await;
        }
    }
    let mutation = json!({ "query": "mutation { cartCreate(input: { currency: \"EUR\" }) { position } }" });
    let mut events = Events::of(server.post(mutation.to_string())).await;
    assert_eq!(events.answer().await["data"]["cartCreate"]["position"], 1);
    events.ends().await;
}

#[tokio::test]
async fn a_client_that_accepts_anything_gets_events_on_the_path_of_streams_only() {
    let server = Server::start().await;
    for (path, accept, expected) in [
        ("/graphql", "*/*", "application/json; charset=utf-8"),
        ("/graphql/stream", "*/*", "text/event-stream; charset=utf-8"),
        ("/graphql/stream", "application/json", "application/json; charset=utf-8"),
    ] {
        let request = server.client.get(server.url(&format!("{path}?query=%7Bme%7Brole%7D%7D"))).header("accept", accept);
        let (status, media_type, _) = parts(request.send().await.unwrap()).await;
        assert_eq!((status, media_type.as_str()), (200, expected), "{path} {accept}");
    }
}

#[tokio::test]
async fn a_subscriber_is_told_what_it_missed_and_then_what_happens() {
    let server = Server::start().await;
    let cart = || server.done(None, "cartCreate", "cart { id }", json!({ "currency": "EUR" }));
    cart().await;
    let mut events = Events::followed(&server, Duration::from_secs(600)).await;
    assert_eq!(events.answer().await["data"], json!({ "events": { "position": 1 } }));
    cart().await;
    assert_eq!(events.answer().await["data"], json!({ "events": { "position": 2 } }));
}

#[tokio::test]
async fn a_document_that_cannot_run_is_an_answer_with_errors() {
    let server = Server::start().await;
    for (query, expected) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { events { position } }", "FORBIDDEN"),
    ] {
        let mut events = Events::of(server.post(json!({ "query": query }).to_string())).await;
        let answer = events.answer().await;
        assert_eq!(code(&answer), expected, "{query}");
        events.ends().await;
    }
}

#[tokio::test]
async fn a_request_that_is_refused_is_answered_as_others_are() {
    let server = Server::start().await;
    let query = || json!({ "query": "{ me { role } }" }).to_string();
    let url = server.url("/graphql/stream?query=mutation%7BcartCreate(input%3A%7Bcurrency%3A%22EUR%22%7D)%7Bposition%7D%7D");
    for (request, expected) in [
        (server.post("{"), (400, "BAD_REQUEST")),
        (server.post(query()).bearer_auth("nonsense"), (401, "UNAUTHENTICATED")),
        (server.client.get(url), (405, "METHOD_NOT_ALLOWED")),
        (server.client.post(server.url("/graphql/stream")).body(query()), (415, "UNSUPPORTED_MEDIA_TYPE")),
    ] {
        let (status, media_type, answer) = parts(request.header("accept", "text/event-stream").send().await.unwrap()).await;
        assert_eq!((status, code(&answer)), expected);
        assert_eq!(media_type, "application/json; charset=utf-8");
    }
    let subscription = server.post(json!({ "query": EVENTS }).to_string()).header("accept", "application/json");
    let (status, _, answer) = parts(subscription.send().await.unwrap()).await;
    assert_eq!((status, code(&answer)), (400, "SUBSCRIPTION_NEEDS_STREAM"));
    // The protocol's other mode, with one connection for many operations, begins with PUT.
    assert_eq!(server.client.put(server.url("/graphql/stream")).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_stream_that_is_silent_shows_that_it_is_alive() {
    let server = Server::start().await;
    let mut events = Events::followed_in_silence(&server, Duration::from_secs(600)).await;
    for _ in 0..2 {
        assert_eq!(events.block().await.as_deref(), Some(":"));
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_token() {
    let server = Server::start().await;
    // Tokens end on whole seconds, so this one lives for nine seconds at least: enough to subscribe on a busy machine.
    let mut events = Events::followed_in_silence(&server, Duration::from_secs(10)).await;
    assert_eq!(code(&events.answer().await), "UNAUTHENTICATED");
    events.ends().await;
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams_without_completing_them() {
    let server = Server::start().await;
    let mut events = Events::followed(&server, Duration::from_secs(600)).await;
    server.running.shutdown().await;
    assert_eq!(events.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_ends_its_stream() {
    let server = Server::start().await;
    server.done(None, "cartCreate", "cart { id }", json!({ "currency": "EUR" })).await;
    let body = json!({ "query": EVENTS }).to_string();
    let token = server.token(Role::Auditor, Duration::from_secs(600));
    let mut client = TcpStream::connect(server.running.address()).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    write!(
        client,
        "POST /graphql HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("event: next\ndata: {\"data\":{\"events\":{\"position\":1}}") {
        let mut chunk = [0; 4_096];
        let length = client.read(&mut chunk).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&chunk[..length]);
    }
    assert_eq!(running(&server).await, 1);
    drop(client);
    let gone = async {
        while running(&server).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, gone).await.unwrap();
}

/// How many subscriptions run.
async fn running(server: &Server) -> u64 {
    let metrics = server.client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    metrics.lines().find_map(|line| line.strip_prefix("daybook_subscriptions ")).unwrap().parse().unwrap()
}
