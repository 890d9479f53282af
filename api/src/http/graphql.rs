//! `/graphql`: operations over POST, queries and subscriptions over GET, and the way to the socket. Subscriptions, and
//! whatever else a client wants so, are answered as events.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{FromRequestParts, Query, Request, State, WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use crate::{
    http::{
        BODY_LIMIT, Incoming, Refused, callers, event_stream, incoming,
        limited::Meter,
        outgoing::{self, Accepted, MediaType},
        tracing_ids::{self, CORRELATION_ID},
        websocket,
    },
    metrics::OperationKind,
    shop::Shop,
};

/// How long a client may take to send the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /graphql`.
pub(crate) async fn by_post(State(shop): State<Arc<Shop>>, request: Request) -> Response {
    post(&shop, request, MediaType::Json).await
}

/// `POST /graphql/stream`: the same, but who does not say what it accepts gets events.
pub(crate) async fn stream_by_post(State(shop): State<Arc<Shop>>, request: Request) -> Response {
    post(&shop, request, MediaType::EventStream).await
}

async fn post(shop: &Arc<Shop>, request: Request, usual: MediaType) -> Response {
    let (parts, body) = request.into_parts();
    respond(shop, &parts, usual, async {
        if !is_json(&parts.headers) {
            let message = "the Content-Type must be application/json, in UTF-8";
            return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        let too_large = || Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_LIMIT", "a request may have at most 1 MiB");
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > BODY_LIMIT) {
            return Err(too_large());
        }
        let body = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_LIMIT)).await;
        let too_slow =
            |_| Refused::new(StatusCode::REQUEST_TIMEOUT, "BODY_TIMEOUT", "the body of the request was not there in time");
        let body = body.map_err(too_slow)?.map_err(|_| too_large())?;
        let value = serde_json::from_slice(&body)
            .map_err(|error| Refused::bad_request("BAD_REQUEST", &format!("the body is not JSON: {error}")))?;
        Incoming::from_json(value, &shop.door.documents)
    })
    .await
}

/// `GET /graphql`: a socket when the client asks for one, else a query or a subscription.
pub(crate) async fn by_get(State(shop): State<Arc<Shop>>, request: Request) -> Response {
    get(shop, request, MediaType::Json).await
}

/// `GET /graphql/stream`: the same, but who does not say what it accepts gets events.
pub(crate) async fn stream_by_get(State(shop): State<Arc<Shop>>, request: Request) -> Response {
    get(shop, request, MediaType::EventStream).await
}

async fn get(shop: Arc<Shop>, request: Request, usual: MediaType) -> Response {
    let (mut parts, _) = request.into_parts();
    if parts.headers.contains_key(header::UPGRADE) {
        return match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => {
                let meter = Meter::of(&shop, &parts);
                websocket::open(shop, upgrade, parts.headers, meter)
            }
            Err(rejection) => rejection.into_response(),
        };
    }
    respond(&shop, &parts, usual, async {
        let pairs = Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs);
        let pairs = pairs.map_err(|_| Refused::bad_request("BAD_REQUEST", "the query string cannot be read"))?;
        Incoming::from_query(pairs, &shop.door.documents)
    })
    .await
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().eq_ignore_ascii_case("application/json");
    let charset = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("charset"));
    essence && charset.is_none_or(|(_, value)| value.trim_matches('"').eq_ignore_ascii_case("utf-8"))
}

/// Runs a request and answers it, whatever becomes of it, with its correlation id.
async fn respond(
    shop: &Arc<Shop>,
    parts: &Parts,
    usual: MediaType,
    read: impl Future<Output = Result<Incoming, Refused>>,
) -> Response {
    let began = Instant::now();
    let mut kind = OperationKind::Unreadable;
    let correlation_id = tracing_ids::correlation_id(&parts.headers);
    let mut meter = Meter::of(shop, parts);
    let accepted = MediaType::negotiate(&parts.headers, usual);
    let outcome = match accepted {
        None => meter.anonymous(shop).and_then(|()| Err(not_acceptable())),
        Some(accepted) => run(shop, parts, accepted, correlation_id, read, (&mut meter, &mut kind)).await,
    };
    let media_type = accepted.map_or(MediaType::Json, |accepted| accepted.media_type);
    let (mut http, failed) = outcome.unwrap_or_else(|refused| (refused.into_http(media_type), true));
    meter.tell(http.headers_mut());
    let took = began.elapsed();
    shop.metrics.answered(kind, took, failed);
    tracing::debug!(%correlation_id, ?kind, status = http.status().as_u16(), failed, micros = took.as_micros(), "answered");
    if let Ok(value) = HeaderValue::from_str(&correlation_id.to_string()) {
        http.headers_mut().insert(CORRELATION_ID, value);
    }
    http
}

/// Runs what a request asks for: the answer, and whether it has errors. Nothing of the body is read for a caller who may not
/// ask.
async fn run(
    shop: &Arc<Shop>,
    parts: &Parts,
    accepted: Accepted,
    correlation_id: uuid::Uuid,
    read: impl Future<Output = Result<Incoming, Refused>>,
    (meter, kind): (&mut Meter, &mut OperationKind),
) -> Result<(Response, bool), Refused> {
    let known = callers::admitted(shop, &parts.headers, meter).await?;
    let context = incoming::context(known.caller.clone(), meter.client(), &parts.headers, correlation_id)?;
    // HEAD comes the way of GET.
    let prepared = incoming::prepare(shop, read.await?, context, meter, parts.method == Method::POST)?;
    *kind = prepared.kind;
    match prepared.kind {
        OperationKind::Subscription if accepted.events || accepted.media_type == MediaType::EventStream => {
            let held = meter.stream(shop)?;
            let answers = prepared.stream(shop).await?;
            let body = event_stream::body(shop, answers, callers::ended(shop, &known), held);
            Ok((outgoing::events(body), false))
        }
        OperationKind::Subscription => {
            let message = "to subscribe, accept text/event-stream or open a WebSocket on /graphql";
            Err(Refused::bad_request("SUBSCRIPTION_NEEDS_STREAM", message))
        }
        OperationKind::Query | OperationKind::Mutation | OperationKind::Unreadable => {
            let response = prepared.execute(shop).await?;
            Ok((outgoing::answer(&response, accepted.media_type), !response.errors.is_empty()))
        }
    }
}

fn not_acceptable() -> Refused {
    let message = "answers are application/graphql-response+json, application/json or text/event-stream";
    Refused::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
}
