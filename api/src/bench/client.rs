//! A GraphQL client over HTTP, as a storefront would use it.

use serde_json::{Value, json};

use super::BenchError;

/// A connection pool to one server.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: String,
}

impl Client {
    /// A client of the server at this URL, such as `http://127.0.0.1:8080`.
    pub fn new(url: &str) -> Self {
        Self { http: reqwest::Client::new(), endpoint: format!("{}/graphql", url.trim_end_matches('/')) }
    }

    /// Runs an operation and gives its data.
    ///
    /// # Errors
    /// When the server cannot be reached or answers with errors.
    pub async fn run(&self, query: &str, variables: Value) -> Result<Value, BenchError> {
        let body = json!({ "query": query, "variables": variables });
        let bytes = self.post(serde_json::to_vec(&body)?).await?;
        let mut answer: Value = serde_json::from_slice(&bytes)?;
        match answer.get("errors") {
            Some(errors) => Err(BenchError::Answer(errors.to_string())),
            None => Ok(answer["data"].take()),
        }
    }

    /// Posts a prepared request and gives the answer as it is.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer with 200.
    pub async fn post(&self, body: Vec<u8>) -> Result<Vec<u8>, BenchError> {
        let request = self.http.post(&self.endpoint).header("content-type", "application/json").body(body);
        let answer = request.send().await?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(BenchError::Answer(format!("{}: {}", answer.status(), answer.text().await?)));
        }
        Ok(answer.bytes().await?.to_vec())
    }
}
