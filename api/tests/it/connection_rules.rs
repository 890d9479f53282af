//! Connections: who takes for ever, opens too many, or does not read, is cut off; nobody else is.

use std::{net::SocketAddr, time::Duration};

use api::{ConnectionLimits, ServeConfig, TransportConfig, access::Role};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::server::{Server, code, config};

const LONG: Duration = Duration::from_secs(60);
const REQUEST: &str = "GET /health/live HTTP/1.1\r\nHost: shop\r\n\r\n";

/// What comes before the connection ends, however it ends.
async fn until_it_ends(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut read)).await.expect("the connection ends");
    String::from_utf8_lossy(&read).into_owned()
}

/// Sends one byte after the other of a head that never ends, until nobody takes them any more.
async fn trickle(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /graphql HTTP/1.1\r\nHost: shop\r\nX-Slow: ").await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let slow = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let mut byte = [0];
    tokio::time::timeout(LONG, async {
        tokio::select! {
            read = reading.read(&mut byte) => assert!(matches!(read, Ok(0) | Err(_)), "nothing was asked yet"),
            () = slow => {}
        }
    })
    .await
    .is_ok()
}

/// Asks, waits for the answer's end (its body is short and known), and leaves the connection open.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).ends_with("\"live\"}") {
        let mut chunk = [0; 4_096];
        let length = tokio::time::timeout(LONG, stream.read(&mut chunk)).await.unwrap().unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_request_slowly_is_cut_off_and_who_only_waits_is_not() {
    let server = Server::start().await;
    let address = server.running.address();
    let mut patient = TcpStream::connect(address).await.unwrap();
    ask(&mut patient).await;
    let silent = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        until_it_ends(&mut stream).await
    };
    let slow_body = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /graphql HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        until_it_ends(&mut stream).await
    };
    // A head that came in time, and then one that does not.
    let slow_at_last = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        ask(&mut stream).await;
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        until_it_ends(&mut stream).await
    };
    let (trickled, silent, slow_body, slow_at_last) = tokio::join!(trickle(address), silent, slow_body, slow_at_last);
    assert!(trickled);
    assert_eq!((silent.as_str(), slow_at_last.as_str()), ("", ""));
    assert!(slow_body.starts_with("HTTP/1.1 408 ") && slow_body.contains("BODY_TIMEOUT"), "{slow_body}");
    assert!(ask(&mut patient).await.starts_with("HTTP/1.1 200 "), "it was idle for longer than a head may take");
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let server = Server::start().await;
    for pieces in [&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][..], &["P", "RI", " * HTTP/2.0\r\n\r\nSM\r\n\r\n"]] {
        let mut stream = TcpStream::connect(server.running.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in pieces {
            // The connection may be gone before the last piece.
            let _ = stream.write_all(piece.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(until_it_ends(&mut stream).await, "");
    }
}

/// Whether a new connection is served.
async fn is_served(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(REQUEST.as_bytes()).await.ok()?;
    let mut chunk = [0; 4_096];
    let read = tokio::time::timeout(LONG, stream.read(&mut chunk)).await.expect("an answer or an end");
    matches!(read, Ok(1..)).then_some(stream)
}

async fn takes_connections_up_to(server: &Server, most: usize) {
    let address = server.running.address();
    let mut open = Vec::new();
    for _ in 0..most {
        open.push(is_served(address).await.expect("there is room"));
    }
    assert!(is_served(address).await.is_none(), "one too many");
    open.pop();
    let room = async {
        loop {
            if let Some(stream) = is_served(address).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, room).await.unwrap();
}

#[tokio::test]
async fn there_are_only_so_many_connections() {
    let connections = ConnectionLimits { most: 3, ..ConnectionLimits::default() };
    let server = Server::reached(TransportConfig { connections, ..TransportConfig::default() }).await;
    takes_connections_up_to(&server, 3).await;
}

#[tokio::test]
async fn an_address_has_only_so_many_connections_but_this_machine_and_a_trusted_proxy_have_more() {
    let connections = ConnectionLimits { per_address: 2, ..ConnectionLimits::default() };
    let transport = TransportConfig { connections, ..TransportConfig::default() };
    let strict = TransportConfig { limit_local: true, ..transport.clone() };
    takes_connections_up_to(&Server::reached(strict.clone()).await, 2).await;
    let behind_a_proxy = TransportConfig { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..strict };
    for transport in [transport, behind_a_proxy] {
        let server = Server::reached(transport).await;
        let mut open = Vec::new();
        for _ in 0..20 {
            open.push(is_served(server.running.address()).await.expect("there is room"));
        }
    }
}

/// How many subscriptions run.
async fn running(server: &Server) -> u64 {
    let metrics = server.client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    metrics.lines().find_map(|line| line.strip_prefix("daybook_subscriptions ")).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_reader_stands_still_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let config = ServeConfig { demo: true, ..config(folder.path()) };
    let server = Server::configured(folder, config).await;
    let token = server.token(Role::Auditor, LONG * 10);
    // Far more than the system keeps on its way.
    let changes: String = (0..90).map(|n| format!("c{n}: change ")).collect();
    let body = json!({ "query": format!("subscription {{ events(fromPosition: 0) {{ {changes} }} }}") }).to_string();
    let mut stream = TcpStream::connect(server.running.address()).await.unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let cut_off = async {
        while running(&server).await > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONG * 2, cut_off).await.expect("the reader is not waited for");
    drop(stream);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_connections_that_ask_nothing() {
    let server = Server::start().await;
    let mut idle = TcpStream::connect(server.running.address()).await.unwrap();
    ask(&mut idle).await;
    let mut fresh = TcpStream::connect(server.running.address()).await.unwrap();
    server.running.shutdown().await;
    assert_eq!((until_it_ends(&mut idle).await, until_it_ends(&mut fresh).await), (String::new(), String::new()));
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered_although_the_server_stops() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.running.address()).await.unwrap();
    let body = json!({ "query": "{ me { actor } }" }).to_string();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The body is being waited for: the request has begun.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let rest = async {
        stream.write_all(body.as_bytes()).await.unwrap();
        until_it_ends(&mut stream).await
    };
    let (answer, ()) = tokio::join!(rest, server.running.shutdown());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!(code(&json), "none");
}
