//! Documents by name: automatic persisted queries, trusted documents, and shops that run nothing else.

use api::TransportConfig;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::{
    server::{Server, code, parts},
    socket_rules::Socket,
};

const ME: &str = "{ me { actor } }";

fn hash(document: &str) -> String {
    Sha256::digest(document.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn persisted(document: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash(document) } })
}

async fn send(server: &Server, request: Value) -> (u16, Value) {
    let (status, _, answer) = parts(server.post(request.to_string()).send().await.unwrap()).await;
    (status, answer)
}

#[tokio::test]
async fn a_document_that_was_sent_once_is_named_by_its_hash() {
    let server = Server::start().await;
    let (status, answer) = send(&server, json!({ "extensions": persisted(ME) })).await;
    // As clients expect it of `application/json`.
    assert_eq!((status, code(&answer)), (200, "PERSISTED_QUERY_NOT_FOUND"));
    assert_eq!((&answer["errors"][0]["message"], answer.get("data")), (&json!("PersistedQueryNotFound"), None));
    let (_, answer) = send(&server, json!({ "query": ME, "extensions": persisted(ME) })).await;
    assert_eq!(answer["data"]["me"]["actor"], "customer");
    let (_, answer) = send(&server, json!({ "extensions": persisted(ME) })).await;
    assert_eq!(answer["data"]["me"]["actor"], "customer");

    let extensions = persisted(ME).to_string();
    let url = server.client.get(server.url("/graphql")).query(&[("extensions", extensions.as_str())]);
    let (status, _, answer) = parts(url.send().await.unwrap()).await;
    assert_eq!((status, &answer["data"]["me"]["actor"]), (200, &json!("customer")), "over GET");

    let mut socket = Socket::ready(&server, None).await;
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": { "extensions": persisted(ME) } })).await;
    assert_eq!(socket.next().await["payload"]["data"]["me"]["actor"], "customer");
    assert_eq!(socket.next().await["type"], "complete");
    socket.send(json!({ "type": "subscribe", "id": "2", "payload": { "extensions": persisted("{ x }") } })).await;
    let error = socket.next().await;
    assert_eq!(error["payload"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND", "and the socket lives on");
}

#[tokio::test]
async fn a_mutation_by_its_hash_is_carried_out_by_post_only() {
    let server = Server::start().await;
    let mutation = "mutation { cartCreate(input: { currency: \"EUR\" }) { position } }";
    let (_, answer) = send(&server, json!({ "query": mutation, "extensions": persisted(mutation) })).await;
    assert_eq!(answer["data"]["cartCreate"]["position"], 1);
    let extensions = persisted(mutation).to_string();
    let url = server.client.get(server.url("/graphql")).query(&[("extensions", extensions.as_str())]);
    assert_eq!(url.send().await.unwrap().status(), 405);
    let (_, answer) = send(&server, json!({ "extensions": persisted(mutation) })).await;
    assert_eq!(answer["data"]["cartCreate"]["position"], 2);
}

#[tokio::test]
async fn what_is_not_the_hash_of_the_document_or_no_hash_is_refused_and_kept_nowhere() {
    let server = Server::start().await;
    let (status, answer) = send(&server, json!({ "query": "{ me { role } }", "extensions": persisted(ME) })).await;
    assert_eq!((status, code(&answer)), (400, "PERSISTED_QUERY_HASH_MISMATCH"));
    // A document that cannot run is not kept.
    send(&server, json!({ "query": "{", "extensions": persisted("{") })).await;
    for document in [ME, "{"] {
        let (_, answer) = send(&server, json!({ "extensions": persisted(document) })).await;
        assert_eq!(code(&answer), "PERSISTED_QUERY_NOT_FOUND");
    }
    for wrong in
        [json!(7), json!({}), json!({ "version": 2, "sha256Hash": hash(ME) }), json!({ "version": 1, "sha256Hash": "x" })]
    {
        let (status, answer) = send(&server, json!({ "extensions": { "persistedQuery": wrong } })).await;
        assert_eq!((status, code(&answer)), (400, "BAD_REQUEST"));
    }
}

/// A shop with one trusted document, `who`.
async fn trusting(trusted_only: bool) -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documents.json");
    let who = "query Who($x: Boolean!) { me { actor @include(if: $x) } }";
    std::fs::write(&path, json!({ "who": who }).to_string()).unwrap();
    let transport = TransportConfig { trusted_documents: Some(path), trusted_only, ..TransportConfig::default() };
    (Server::reached(transport).await, folder)
}

#[tokio::test]
async fn a_trusted_document_is_named_by_its_id() {
    let (server, _folder) = trusting(false).await;
    let (status, answer) = send(&server, json!({ "documentId": "who", "variables": { "x": true } })).await;
    assert_eq!((status, &answer["data"]["me"]["actor"]), (200, &json!("customer")));
    let url = server.url("/graphql?documentId=who&variables=%7B%22x%22%3Atrue%7D");
    let (status, _, answer) = parts(server.client.get(url).send().await.unwrap()).await;
    assert_eq!((status, &answer["data"]["me"]["actor"]), (200, &json!("customer")));
    let (_, answer) = send(&server, json!({ "documentId": "what" })).await;
    assert_eq!(code(&answer), "DOCUMENT_NOT_FOUND");
    for wrong in [json!({ "documentId": 7 }), json!({ "documentId": "who", "query": ME }), json!({ "documentId": null })] {
        let (status, answer) = send(&server, wrong).await;
        assert_eq!((status, code(&answer)), (400, "BAD_REQUEST"));
    }
    let (_, answer) = send(&server, json!({ "query": ME })).await;
    assert_eq!(answer["data"]["me"]["actor"], "customer", "others run as well");
}

#[tokio::test]
async fn where_only_trusted_documents_run_nothing_else_does_whatever_it_comes_by() {
    let (server, _folder) = trusting(true).await;
    let (status, answer) = send(&server, json!({ "documentId": "who", "variables": { "x": true } })).await;
    assert_eq!((status, &answer["data"]["me"]["actor"]), (200, &json!("customer")));
    for other in
        [json!({ "query": ME }), json!({ "query": ME, "extensions": persisted(ME) }), json!({ "extensions": persisted(ME) })]
    {
        let (status, answer) = send(&server, other).await;
        assert_eq!((status, code(&answer), answer.get("data")), (403, "DOCUMENT_NOT_TRUSTED", None));
    }
    let mut socket = Socket::ready(&server, None).await;
    socket.subscribe("1", ME).await;
    assert_eq!(socket.next().await["payload"][0]["extensions"]["code"], "DOCUMENT_NOT_TRUSTED");
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": { "documentId": "who", "variables": { "x": true } } })).await;
    assert_eq!(socket.next().await["payload"]["data"]["me"]["actor"], "customer");
}
