//! GraphQL over HTTP: methods, media types, status codes, limits and tokens.

use std::time::Duration;

use api::access::Role;
use serde_json::{Value, json};

use crate::server::{Server, code, parts};

const GRAPHQL: &str = "application/graphql-response+json";

fn body(query: &str) -> String {
    json!({ "query": query }).to_string()
}

#[tokio::test]
async fn a_query_is_answered_over_post_and_get_in_the_media_type_that_was_asked_for() {
    let server = Server::start().await;
    for (accept, expected) in [(GRAPHQL, GRAPHQL), ("application/json", "application/json"), ("*/*", "application/json")] {
        let (status, media_type, answer) =
            parts(server.post(body("{ me { role } }")).header("accept", accept).send().await.unwrap()).await;
        assert_eq!((status, media_type), (200, format!("{expected}; charset=utf-8")));
        assert_eq!(answer["data"], json!({ "me": { "role": "CUSTOMER" } }));
    }
    let url = server.url("/graphql?query=query%20Q(%24x%3ABoolean!)%7Bme%20%40include(if%3A%24x)%7Brole%7D%7D&variables=%7B%22x%22%3Atrue%7D&operationName=Q");
    let (status, _, answer) = parts(server.client.get(url).send().await.unwrap()).await;
    assert_eq!((status, &answer["data"]["me"]["role"]), (200, &json!("CUSTOMER")));
}

#[tokio::test]
async fn a_request_that_is_not_well_formed_is_refused_without_data_whatever_it_accepts() {
    let server = Server::start().await;
    let bad = [
        ("{", "BAD_REQUEST"),
        ("[]", "BATCH_LIMIT"),
        ("7", "BAD_REQUEST"),
        ("{}", "BAD_REQUEST"),
        (r#"{"query":7}"#, "BAD_REQUEST"),
        (r#"{"query":"{ me { role } }","variables":"x"}"#, "BAD_REQUEST"),
        (r#"{"query":"{ me { role } }","operationName":1}"#, "BAD_REQUEST"),
        (r#"{"query":"{ me { role } }","extensions":[]}"#, "BAD_REQUEST"),
        (r#"{"query":"{ me { role } }","extensions":{"minPosition":-1}}"#, "BAD_REQUEST"),
    ];
    for accept in [GRAPHQL, "application/json"] {
        for (request, expected) in bad {
            let (status, _, answer) = parts(server.post(request).header("accept", accept).send().await.unwrap()).await;
            assert_eq!((status, code(&answer)), (400, expected), "{request}");
            assert_eq!(answer.get("data"), None);
        }
    }
}

#[tokio::test]
async fn a_nul_in_any_text_is_refused_however_it_is_written() {
    let server = Server::start().await;
    let query = "query($t: String) { products(filter: { text: $t }) { nodes { title } } }";
    let nested = "query($f: ProductFilter) { products(filter: $f) { nodes { title } } }";
    for body in [
        json!({ "query": query, "variables": { "t": "a\0b" } }),
        json!({ "query": nested, "variables": { "f": { "text": "a\0b" } } }),
        json!({ "query": r#"{ products(filter: { text: "a\u0000b" }) { nodes { title } } }"# }),
        json!({ "query": "{ products(filter: { text: \"a\0b\" }) { nodes { title } } }" }),
        json!({ "query": "{ products(filter: { text: \"\"\"a\0b\"\"\" }) { nodes { title } } }" }),
    ] {
        let (_, _, answer) = parts(server.post(body.to_string()).send().await.unwrap()).await;
        assert_eq!((code(&answer), answer.get("data")), ("BAD_USER_INPUT", None), "{body}");
    }
    for harmless in [r#""a\\u0000b""#, r#""""a\u0000b""""#] {
        let query = format!("{{ products(filter: {{ text: {harmless} }}) {{ nodes {{ title }} }} }}");
        let (_, _, answer) = parts(server.post(body(&query)).send().await.unwrap()).await;
        assert_eq!(answer["data"]["products"]["nodes"], json!([]), "{query}: {answer}");
    }
}

#[tokio::test]
async fn a_document_that_cannot_run_is_a_bad_request_only_in_the_media_type_of_graphql() {
    let server = Server::start().await;
    for (query, expected) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { me { role } } query B { me { role } }", "OPERATION_UNKNOWN"),
        ("{ ...a } fragment a on Query { ...a }", "FRAGMENT_CYCLE"),
    ] {
        for (accept, expected_status) in [(GRAPHQL, 400), ("application/json", 200)] {
            let (status, _, answer) = parts(server.post(body(query)).header("accept", accept).send().await.unwrap()).await;
            assert_eq!((status, code(&answer)), (expected_status, expected), "{query}");
            assert_eq!(answer.get("data"), None);
        }
    }
}

#[tokio::test]
async fn other_content_types_methods_and_sizes_are_refused_by_name() {
    let server = Server::start().await;
    let post = |content_type: &'static str| server.client.post(server.url("/graphql")).header("content-type", content_type);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let (status, _, answer) = parts(post(content_type).body(body("{ me { role } }")).send().await.unwrap()).await;
        assert_eq!((status, code(&answer)), (415, "UNSUPPORTED_MEDIA_TYPE"));
    }
    let large = body(&format!("{{ me {{ role }} }} # {}", "x".repeat(1_100_000)));
    let (status, _, answer) = parts(server.post(large).send().await.unwrap()).await;
    assert_eq!((status, code(&answer)), (413, "BODY_LIMIT"));
    let (status, _, answer) =
        parts(server.post(body("{ me { role } }")).header("accept", "text/html").send().await.unwrap()).await;
    assert_eq!((status, code(&answer)), (406, "NOT_ACCEPTABLE"));
    assert_eq!(server.client.put(server.url("/graphql")).send().await.unwrap().status(), 405);
    let twice = server.url("/graphql?query=%7Bme%7Brole%7D%7D&query=%7Bme%7Brole%7D%7D");
    assert_eq!(server.client.get(twice).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_mutation_is_carried_out_by_post_only() {
    let server = Server::start().await;
    let mutation = "mutation { cartCreate(input: { currency: \"EUR\" }) { position } }";
    let position = async || server.ask(mutation).await["data"]["cartCreate"]["position"].as_u64().unwrap();
    let before = position().await;
    let url = server.url("/graphql?query=mutation%7BcartCreate(input%3A%7Bcurrency%3A%22EUR%22%7D)%7Bposition%7D%7D");
    let (status, _, answer) = parts(server.client.get(&url).send().await.unwrap()).await;
    assert_eq!((status, code(&answer)), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(server.client.head(&url).send().await.unwrap().status(), 405);
    assert_eq!(position().await, before + 1, "nothing was written in between");
}

#[tokio::test]
async fn a_limit_is_refused_by_name_before_anything_runs() {
    let server = Server::start().await;
    let deep = format!("{}a{}", "{a".repeat(3_000), "}".repeat(3_000));
    let wide = format!("{{ {} }}", "me { role } ".repeat(31));
    let aliases = format!("{{ me {{ {} }} }}", (0..101).map(|n| format!("a{n}: role ")).collect::<String>());
    for (query, expected) in [(deep, "DEPTH_LIMIT"), (wide, "ROOT_FIELD_LIMIT"), (aliases, "ALIAS_LIMIT")] {
        assert_eq!(code(&server.ask(&query).await), expected);
    }
}

#[tokio::test]
async fn a_token_says_who_asks_and_a_bad_one_is_refused() {
    let server = Server::start().await;
    let ask =
        |token: String| server.post(body("{ me { role actor } }")).header("authorization", format!("Bearer {token}")).send();
    let (status, _, answer) = parts(ask(server.token(Role::Finance, Duration::from_secs(60))).await.unwrap()).await;
    assert_eq!((status, &answer["data"]["me"]), (200, &json!({ "role": "FINANCE", "actor": "finance" })));
    let mut forged = server.token(Role::Admin, Duration::from_secs(60));
    forged.truncate(forged.len() - 4);
    for bad in ["nonsense".to_owned(), forged] {
        let response = ask(bad).await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let (status, _, answer) = parts(response).await;
        assert_eq!((status, code(&answer), answer.get("data")), (401, "UNAUTHENTICATED", None));
    }
}

#[tokio::test]
async fn every_answer_carries_the_correlation_id_of_its_request() {
    let server = Server::start().await;
    let id = "0197a3f0-7c1e-7000-8000-000000000001";
    let response = server.post("{").header("x-correlation-id", id).send().await.unwrap();
    assert_eq!(response.headers()["x-correlation-id"], id);
    let response = server.post(body("{ me { role } }")).send().await.unwrap();
    assert_eq!(response.headers()["x-correlation-id"].len(), 36);
}

#[tokio::test]
async fn people_and_machines_find_their_pages() {
    let server = Server::start().await;
    let get = async |path: &str| parts(server.client.get(server.url(path)).send().await.unwrap()).await;
    let (status, media_type, page) = get("/").await;
    assert!(status == 200 && media_type.starts_with("text/html"));
    let page = page.as_str().unwrap().to_owned();
    let parts_of_the_page = page.split(['"', '\'']).filter(|part| part.starts_with("/graphiql/"));
    for part in parts_of_the_page {
        let response = server.client.get(server.url(part)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{part}");
        let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(
            media_type.starts_with(if part.ends_with(".css") { "text/css" } else { "text/javascript" }),
            "{part}: {media_type}"
        );
    }
    assert_eq!(server.client.get(server.url("/graphiql/none")).send().await.unwrap().status(), 404);
    let (_, _, schema) = get("/schema.graphql").await;
    assert!(schema.as_str().unwrap().contains("type Query"));
    assert_eq!(get("/health/live").await.2, json!({ "status": "live" }));
    let (status, _, report) = get("/health/ready").await;
    assert_eq!((status, &report["ready"]), (200, &Value::Bool(true)));
    server.ask("{ me { role } }").await;
    let (_, media_type, text) = get("/metrics").await;
    assert!(media_type.starts_with("text/plain; version=0.0.4"));
    assert!(text.as_str().unwrap().contains("daybook_request_seconds_count{kind=\"query\"} 1"));
}
