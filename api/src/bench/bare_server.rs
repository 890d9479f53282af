//! The baseline: a bare async-graphql server without limits, roles, freshness or a database, answering from memory. It has a
//! process of its own, as the server beside it has: it shares no runtime and no allocator with whoever asks and measures.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema, SimpleObject};
use axum::{Json, Router, extract::State, routing::post};
use serde::Deserialize;
use serde_json::Value;

use super::BenchError;

/// A product as the baseline answers it: the fields that the measured list asks for.
#[derive(Clone, Deserialize, SimpleObject)]
struct BareProduct {
    id: String,
    title: String,
    slug: String,
    variants: Vec<BareVariant>,
}

#[derive(Clone, Deserialize, SimpleObject)]
struct BareVariant {
    sku: String,
    name: String,
    price: Option<BareMoney>,
}

#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
struct BareMoney {
    amount_minor: i64,
    currency: String,
}

#[derive(SimpleObject)]
struct BareList {
    nodes: Vec<BareProduct>,
}

struct Query(Arc<Vec<BareProduct>>);

#[Object]
impl Query {
    async fn products(&self, first: usize) -> BareList {
        BareList { nodes: self.0.iter().take(first).cloned().collect() }
    }
}

type BareSchema = Schema<Query, EmptyMutation, EmptySubscription>;

async fn graphql(State(schema): State<BareSchema>, Json(request): Json<async_graphql::Request>) -> Json<async_graphql::Response> {
    Json(schema.execute(request).await)
}

/// The process, ended when this is dropped.
pub(super) struct BareServer {
    pub url: String,
    process: Child,
}

impl BareServer {
    /// Starts this program once more, to serve these products on a free port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(products: &Value) -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "bare-server"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Self { url: String::new(), process: command.spawn()? };
        let stdin = server.process.stdin.as_mut().ok_or(BenchError::BaselineStopped)?;
        writeln!(stdin, "{products}")?;
        let stdout = server.process.stdout.take().ok_or(BenchError::BaselineStopped)?;
        if BufReader::new(stdout).read_line(&mut server.url)? == 0 {
            return Err(BenchError::BaselineStopped);
        }
        server.url.truncate(server.url.trim_end().len());
        Ok(server)
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        // Closes its input first, which ends it.
        let _ = self.process.wait();
    }
}

/// Serves the products that the first line of the input names, and prints its URL. Ends with the input, which closes with whoever
/// started it, however that one ends.
///
/// # Errors
/// When the products cannot be read, or no port can be had.
pub(super) async fn run() -> Result<(), BenchError> {
    let mut products = String::new();
    std::io::stdin().read_line(&mut products)?;
    let products: Vec<BareProduct> = serde_json::from_str(&products)?;
    let schema = Schema::new(Query(Arc::new(products)), EmptyMutation, EmptySubscription);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/graphql", post(graphql)).with_state(schema);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the baseline's server stopped");
        }
    });
    let input = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    input.await.map_err(std::io::Error::from)??;
    Ok(())
}
