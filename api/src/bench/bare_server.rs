//! The baseline: a bare async-graphql server without limits, roles, freshness or a database, answering from memory.

use std::sync::Arc;

use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema, SimpleObject};
use axum::{Json, Router, extract::State, routing::post};
use serde::Deserialize;

/// A product as the baseline answers it: the fields that the measured list asks for.
#[derive(Clone, Deserialize, SimpleObject)]
pub(super) struct BareProduct {
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

/// Serves these products on a free port and gives its URL. It ends with the process.
///
/// # Errors
/// When no port can be had.
pub(super) async fn serve(products: Vec<BareProduct>) -> std::io::Result<String> {
    let schema = Schema::new(Query(Arc::new(products)), EmptyMutation, EmptySubscription);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/graphql", post(graphql)).with_state(schema);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the baseline's server stopped");
        }
    });
    Ok(url)
}
