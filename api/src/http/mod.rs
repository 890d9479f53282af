//! HTTP: which path leads where.

mod cors;
mod event_stream;
mod graphql;
mod health;
mod incoming;
mod outgoing;
mod pages;
mod protection;
mod tracing_ids;
mod websocket;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{any, get, post},
};

pub use cors::{InvalidOrigin, Origin};
pub(crate) use incoming::Incoming;
pub(crate) use outgoing::{Refused, coded};

use crate::shop::Shop;

/// The largest request body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// All paths of the server.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    let mut operations: Router<Arc<Shop>> = Router::new()
        .route("/graphql", post(graphql::by_post).get(graphql::by_get))
        .route("/graphql/stream", post(graphql::stream_by_post).get(graphql::stream_by_get))
        .route("/graphql/ws", any(websocket::upgrade));
    if !shop.cors_origins.is_empty() {
        operations = operations.layer(cors::layer(&shop.cors_origins));
    }
    Router::new()
        .route("/", get(pages::graphiql))
        .route("/graphiql/{name}", get(pages::graphiql_asset))
        .route("/schema.graphql", get(pages::schema))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(operations)
        .layer(middleware::map_response(protection::guard))
        .with_state(shop)
}
