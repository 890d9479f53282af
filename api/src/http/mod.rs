//! HTTP: which path leads where.

mod callers;
mod cors;
mod door;
mod event_stream;
mod graphql;
mod health;
mod incoming;
mod limited;
mod notary;
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

/// The paths of operations.
const OPERATIONS: [&str; 2] = ["/graphql", "/graphql/stream"];

/// All paths of the server.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    let door = middleware::from_fn_with_state(shop.clone(), door::door);
    let mut operations: Router<Arc<Shop>> = Router::new()
        .route(OPERATIONS[0], post(graphql::by_post).get(graphql::by_get))
        .route(OPERATIONS[1], post(graphql::stream_by_post).get(graphql::stream_by_get))
        .route("/graphql/ws", any(websocket::upgrade))
        .layer(door.clone());
    // Outside of the door, so that a page can read why it was refused.
    if !shop.cors_origins.is_empty() {
        operations = operations.layer(cors::layer(&shop.cors_origins));
        operations = operations.layer(middleware::from_fn_with_state(shop.clone(), door::preflight));
    }
    Router::new()
        .route("/", get(pages::graphiql))
        .route("/graphiql/{name}", get(pages::graphiql_asset))
        .route("/account", get(pages::account))
        .route("/account/{name}", get(pages::account_asset))
        .route("/.well-known/jwks.json", get(pages::jwks))
        .route("/notary/checkpoint", get(notary::checkpoint).post(notary::sign))
        .route("/notary/tile/{*path}", get(notary::tile))
        .route("/notary/keys", get(notary::keys))
        .route("/schema.graphql", get(pages::schema))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(pages::nothing)
        .layer(door)
        .merge(operations)
        .layer(middleware::from_fn_with_state(shop.clone(), door::way_out))
        .with_state(shop)
}
