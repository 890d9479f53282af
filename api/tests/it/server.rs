//! A server in this process over a folder of its own, and a client for it.

use std::{path::Path, time::Duration};

use api::{RunningServer, ServeConfig, TransportConfig, access::Role};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server with its folder, which goes when it goes.
pub struct Server {
    pub running: RunningServer,
    pub client: reqwest::Client,
    pub folder: TempDir,
}

pub fn config(folder: &Path) -> ServeConfig {
    ServeConfig::new(folder.to_owned(), "127.0.0.1:0".parse().unwrap())
}

impl Server {
    pub async fn start() -> Self {
        Self::reopen(tempfile::tempdir().unwrap()).await
    }

    /// A server over the folder that another one has left.
    pub async fn reopen(folder: TempDir) -> Self {
        let config = config(folder.path());
        Self::configured(folder, config).await
    }

    /// A server that pages of these origins may use.
    pub async fn for_origins(origins: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cors_origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
        let config = ServeConfig { cors_origins, ..config(folder.path()) };
        Self::configured(folder, config).await
    }

    /// A server that is reached in its own way.
    pub async fn reached(transport: TransportConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = ServeConfig { transport, ..config(folder.path()) };
        Self::configured(folder, config).await
    }

    pub async fn configured(folder: TempDir, config: ServeConfig) -> Self {
        let running = api::start(config).await.unwrap();
        Self { running, client: reqwest::Client::new(), folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    /// A token of the shop for a role.
    pub fn token(&self, role: Role, ttl: Duration) -> String {
        self.running.token(role, None, ttl).unwrap()
    }

    /// A token of the shop for a customer.
    pub fn token_of(&self, customer: &str, ttl: Duration) -> String {
        self.running.token(Role::Customer, Some(customer), ttl).unwrap()
    }

    /// A POST to `/graphql` with a JSON content type.
    pub fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(self.url("/graphql")).header("content-type", "application/json").body(body)
    }

    /// The answer to a document, sent without a token.
    pub async fn ask(&self, query: &str) -> Value {
        self.post(json!({ "query": query }).to_string()).send().await.unwrap().json().await.unwrap()
    }
}

/// The code of the first error of an answer.
pub fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

/// Status, media type and body of a response.
pub async fn parts(response: Response) -> (u16, String, Value) {
    let status = response.status().as_u16();
    let media_type = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let text = response.text().await.unwrap();
    (status, media_type, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl Server {
    /// The answer to a document with variables, sent by a role.
    pub async fn run(&self, role: Option<Role>, query: &str, variables: Value) -> Value {
        self.send(role, query, variables, &[]).await
    }

    /// The answer to a document with variables and headers, sent by a role.
    pub async fn send(&self, role: Option<Role>, query: &str, variables: Value, headers: &[(&str, &str)]) -> Value {
        let mut request = self.post(json!({ "query": query, "variables": variables }).to_string());
        if let Some(role) = role {
            request = request.header("authorization", format!("Bearer {}", self.token(role, Duration::from_secs(600))));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().json().await.unwrap()
    }

    /// What a mutation with one input answers: its payload. Fails on a GraphQL error.
    pub async fn mutate(&self, role: Option<Role>, mutation: &str, selection: &str, input: Value) -> Value {
        self.mutate_with(role, mutation, selection, input, &[]).await
    }

    /// The same, with headers.
    pub async fn mutate_with(
        &self,
        role: Option<Role>,
        mutation: &str,
        selection: &str,
        input: Value,
        headers: &[(&str, &str)],
    ) -> Value {
        let name = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
        let errors = "position userErrors { __typename code message field \
                      ... on InsufficientStock { sku available requested } }";
        let query = format!("mutation($i: {name}!) {{ {mutation}(input: $i) {{ {selection} {errors} }} }}");
        let answer = self.send(role, &query, json!({ "i": input }), headers).await;
        assert_eq!(answer.get("errors"), None, "{mutation}: {answer}");
        answer["data"][mutation].clone()
    }

    /// The same, and no rule forbids it.
    pub async fn done(&self, role: Option<Role>, mutation: &str, selection: &str, input: Value) -> Value {
        let payload = self.mutate(role, mutation, selection, input).await;
        assert_eq!(payload["userErrors"], json!([]), "{mutation}: {payload}");
        payload
    }
}
