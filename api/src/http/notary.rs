//! What the notary tells everybody: its last head, its tiles and its keys (<https://c2sp.org/tlog-tiles>). None of it says
//! more than how many events there are.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use notary::{TellError, Tile};

use crate::{
    access::Permission,
    http::{Refused, callers, outgoing::MediaType},
    shop::Shop,
};

/// What never changes may be kept for a year.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
/// A tile that still grows is soon of no use, and one that was not held against its head may be wrong.
const BRIEFLY: &str = "public, max-age=60";
/// A head is asked for again each time.
const NEVER: &str = "no-cache";

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, NEVER)], body).into_response()
}

fn unavailable(reason: &dyn std::fmt::Display) -> Response {
    tracing::warn!(%reason, "the notary cannot answer");
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "it cannot be told now; try again shortly")
        .into_http(MediaType::Json)
}

/// `GET /notary/checkpoint`: the last signed head.
pub(crate) async fn checkpoint(State(shop): State<Arc<Shop>>) -> Response {
    let Some(notary) = &shop.notary else { return StatusCode::NOT_FOUND.into_response() };
    let folder = notary.notary.folder().clone();
    match tokio::task::spawn_blocking(move || folder.head()).await {
        Ok(Ok(Some(head))) => text(head.to_string()),
        Ok(Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(error)) => unavailable(&error),
        Err(error) => unavailable(&error),
    }
}

/// `POST /notary/checkpoint`: signs the log as it is now, for those who watch over it.
pub(crate) async fn sign(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    match callers::caller(&shop, &headers).await {
        Ok(known) if known.caller.may(Permission::ViewOperations) => {}
        Ok(_) => {
            let message = "this needs the permission view_operations";
            return Refused::new(StatusCode::FORBIDDEN, "FORBIDDEN", message).into_http(MediaType::Json);
        }
        Err(refused) => return refused.into_http(MediaType::Json),
    }
    let Some(notary) = &shop.notary else { return StatusCode::NOT_FOUND.into_response() };
    match notary.notary.sign().await {
        Ok(head) => text(head.to_string()),
        Err(error) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", &error.to_string()).into_http(MediaType::Json),
    }
}

/// `GET /notary/tile/…`: the hashes of a tile, 32 bytes each. For good is only what was held against a signed head here.
pub(crate) async fn tile(State(shop): State<Arc<Shop>>, Path(path): Path<String>) -> Response {
    let Ok(tile) = format!("tile/{path}").parse::<Tile>() else { return StatusCode::NOT_FOUND.into_response() };
    let told = move || shop.notary.as_ref().map_or(Err(TellError::NoTile), |notary| notary.notary.tile(tile));
    match tokio::task::spawn_blocking(told).await {
        Ok(Ok(told)) => {
            let keep = if tile.is_full() && told.is_held { FOR_GOOD } else { BRIEFLY };
            ([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, keep)], told.bytes).into_response()
        }
        Ok(Err(TellError::NoTile)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(error)) => unavailable(&error),
        Err(error) => unavailable(&error),
    }
}

/// `GET /notary/keys`: the keys that heads are checked with, and the sizes that each signs.
pub(crate) async fn keys(State(shop): State<Arc<Shop>>) -> Response {
    let Some(notary) = &shop.notary else { return StatusCode::NOT_FOUND.into_response() };
    match notary.keys.known().await {
        Ok(known) => ([(header::CACHE_CONTROL, NEVER)], Json(known)).into_response(),
        Err(error) => unavailable(&error),
    }
}
