//! A server in this process over a folder of its own, and a client for it.

use std::{path::Path, time::Duration};

use api::{
    RunningServer, ServeConfig, TokenKey,
    access::{Caller, Role},
    data_folder::DataFolder,
};
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
    ServeConfig { data: folder.to_owned(), events: None, views: None, listen: "127.0.0.1:0".parse().unwrap(), demo: false }
}

impl Server {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = api::start(config(folder.path())).await.unwrap();
        Self { running, client: reqwest::Client::new(), folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    /// A token of the shop for a role.
    pub fn token(&self, role: Role, ttl: Duration) -> String {
        let key = TokenKey::open(&DataFolder::create(self.folder.path()).unwrap()).unwrap();
        key.issue(&Caller { role, subject: None }, ttl, chrono::Utc::now()).unwrap().0
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
