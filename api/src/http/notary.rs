//! What the notary tells everybody: its last head, its tiles and its keys (<https://c2sp.org/tlog-tiles>). None of it says
//! more than how many events there are.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use notary::{Tile, TileError};

use crate::{
    access::Permission,
    http::{Refused, callers, outgoing::MediaType},
    shop::Shop,
};

/// What never changes may be kept for a year.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
/// A tile that still grows is soon of no use.
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

/// `GET /notary/tile/…`: the hashes of a tile, 32 bytes each.
pub(crate) async fn tile(State(shop): State<Arc<Shop>>, Path(path): Path<String>) -> Response {
    let Ok(tile) = format!("tile/{path}").parse::<Tile>() else { return StatusCode::NOT_FOUND.into_response() };
    match tokio::task::spawn_blocking(move || read_tile(&shop, tile)).await {
        Ok(Ok(bytes)) => {
            let keep = if tile.is_full() { FOR_GOOD } else { BRIEFLY };
            ([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, keep)], bytes).into_response()
        }
        Ok(Err(None)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(Some(reason))) => unavailable(&reason),
        Err(error) => unavailable(&error),
    }
}

/// The bytes of a tile that the last head rests upon; why they cannot be told, or nothing if there is no such tile.
fn read_tile(shop: &Shop, tile: Tile) -> Result<Vec<u8>, Option<String>> {
    let notary = &shop.notary.as_ref().ok_or(None)?.notary;
    let head = notary.folder().head().map_err(|error| Some(error.to_string()))?.ok_or(None)?;
    let size = head.unchecked().size;
    // Beyond the last head there may be tiles of a history that was never signed: those are not to be kept for good.
    if !tile.is_within(size) {
        return Err(None);
    }
    // Of tiles that were not held against their head yet, a power cut may have left anything.
    let status = notary.status();
    if status.size < size && !status.is_elsewhere && status.broken.is_none() {
        return Err(Some("the tiles are being held against their head".to_owned()));
    }
    notary.folder().bytes(tile).map_err(|error| match error {
        TileError::Missing(_) => None,
        error => Some(error.to_string()),
    })
}

/// `GET /notary/keys`: the keys that heads are checked with, and the sizes that each signs.
pub(crate) async fn keys(State(shop): State<Arc<Shop>>) -> Response {
    let Some(notary) = &shop.notary else { return StatusCode::NOT_FOUND.into_response() };
    match notary.keys.known().await {
        Ok(known) => ([(header::CACHE_CONTROL, NEVER)], Json(known)).into_response(),
        Err(error) => unavailable(&error),
    }
}
