//! How the server is doing, for load balancers, operators and Prometheus.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::shop::Shop;

/// `/health/live`: the process answers and decides. When it does not, a supervisor should start it again.
pub(crate) async fn live(State(shop): State<Arc<Shop>>) -> Response {
    if shop.engine.is_running() || *shop.stopping.borrow() {
        return Json(serde_json::json!({ "status": "live" })).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(serde_json::json!({ "status": "no commands are decided any more" }))).into_response()
}

/// `/health/ready`: whether to send requests here, and what is wrong if not.
pub(crate) async fn ready(State(shop): State<Arc<Shop>>) -> Response {
    let (ready, report) = shop.readiness().await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

/// `/metrics`.
pub(crate) async fn metrics(State(shop): State<Arc<Shop>>) -> Response {
    let text = shop.exposition().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
