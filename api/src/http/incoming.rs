//! What a client sends: a GraphQL request in JSON or in the query string, and the headers that go with it.

use std::{sync::Arc, time::Duration};

use async_graphql::Variables;
use axum::http::{HeaderMap, StatusCode, header};
use event_schemas::Timestamp;
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    access::Caller,
    graphql::{RequestContext, idempotency_key},
    http::{Refused, tracing_ids},
    shop::Shop,
};

/// How long a session may last: a token may end after the end of what a clock can count.
const LONGEST_SESSION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A GraphQL request as it was sent.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The document.
    pub(crate) query: String,
    /// Which of its operations to run.
    pub(crate) operation_name: Option<String>,
    /// The values of its variables.
    pub(crate) variables: Variables,
    /// The smallest position that the answer must reflect, from `extensions.minPosition`.
    pub(crate) min_position: Option<u64>,
}

impl Incoming {
    /// Reads the parameters of a request (GraphQL over HTTP, section 5.1), strictly.
    pub(crate) fn from_json(value: Value) -> Result<Self, Refused> {
        let bad = |message: &str| Refused::bad_request("BAD_REQUEST", message);
        let mut fields = match value {
            Value::Object(fields) => fields,
            Value::Array(_) => return Err(Refused::bad_request("BATCH_LIMIT", "send one operation per request, not a list")),
            _ => return Err(bad("the request must be a JSON object")),
        };
        let Some(Value::String(query)) = fields.remove("query") else {
            return Err(bad("`query` must be there and be a string"));
        };
        let operation_name = match fields.remove("operationName") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err(bad("`operationName` must be a string")),
        };
        let variables = object(fields.remove("variables")).ok_or_else(|| bad("`variables` must be an object"))?;
        let extensions = object(fields.remove("extensions")).ok_or_else(|| bad("`extensions` must be an object"))?;
        let position = match extensions.get("minPosition") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.parse().ok()),
            Some(value) => Some(value.as_u64()),
        };
        let min_position = match position {
            Some(None) => return Err(bad("`extensions.minPosition` must be a position")),
            Some(position) => position,
            None => None,
        };
        Ok(Self { query, operation_name, variables: Variables::from_json(Value::Object(variables)), min_position })
    }

    /// Reads the parameters of a GET request from its query string.
    pub(crate) fn from_query(pairs: Vec<(String, String)>) -> Result<Self, Refused> {
        let mut fields = Map::new();
        for (name, text) in pairs {
            let value = match name.as_str() {
                "query" | "operationName" => Value::String(text),
                "variables" | "extensions" if text.is_empty() => Value::Null,
                "variables" | "extensions" => serde_json::from_str(&text)
                    .map_err(|_| Refused::bad_request("BAD_REQUEST", &format!("`{name}` must be JSON")))?,
                _ => continue,
            };
            if fields.insert(name.clone(), value).is_some() {
                return Err(Refused::bad_request("BAD_REQUEST", &format!("`{name}` is given twice")));
            }
        }
        Self::from_json(Value::Object(fields))
    }
}

fn object(value: Option<Value>) -> Option<Map<String, Value>> {
    match value {
        None | Some(Value::Null) => Some(Map::new()),
        Some(Value::Object(fields)) => Some(fields),
        Some(_) => None,
    }
}

/// A caller, and when the token ends that says so.
pub(crate) type Known = (Caller, Option<Timestamp>);

/// Who sent a request, by its `Authorization` header; nobody in particular, for ever, without one.
pub(crate) fn caller(shop: &Shop, headers: &HeaderMap) -> Result<Known, Refused> {
    match headers.get(header::AUTHORIZATION) {
        None => Ok((Caller::anonymous(), None)),
        Some(value) => authenticate(shop, value.to_str().unwrap_or_default()),
    }
}

/// Who holds a token, given as `Bearer TOKEN` (RFC 6750, section 2.1).
pub(crate) fn authenticate(shop: &Shop, authorization: &str) -> Result<Known, Refused> {
    let refused = |message: &str| Refused::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message);
    let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("the Authorization header must read `Bearer TOKEN`"));
    }
    let (caller, expires_at) =
        shop.token_key.verify(token.trim(), shop.engine.clock().now()).map_err(|error| refused(&error.to_string()))?;
    Ok((caller, Some(expires_at)))
}

/// When a session of a caller ends whose token ends then.
pub(crate) fn session_end(shop: &Shop, expires_at: Option<Timestamp>) -> Option<Instant> {
    let remaining = (expires_at? - shop.engine.clock().now()).to_std().unwrap_or_default();
    Some(Instant::now() + remaining.min(LONGEST_SESSION))
}

/// What resolvers know about the request besides its content.
pub(crate) fn context(caller: Caller, headers: &HeaderMap, correlation_id: Uuid) -> Result<RequestContext, Refused> {
    let bad = |message: &str| Refused::bad_request("BAD_REQUEST", message);
    let min_position = match headers.get("daybook-min-position").map(|value| value.to_str().ok()?.trim().parse().ok()) {
        Some(None) => return Err(bad("the header Daybook-Min-Position must be a position")),
        Some(position) => position,
        None => None,
    };
    let idempotency_key = match headers.get("idempotency-key").map(|value| idempotency_key(value.to_str().ok()?)) {
        None => None,
        Some(Some(key)) => Some(key.to_owned()),
        Some(None) => return Err(bad("the header Idempotency-Key must be 1 to 200 ASCII characters")),
    };
    let (trace_id, written) = (tracing_ids::trace_id(headers), Arc::default());
    Ok(RequestContext { caller, correlation_id, trace_id, idempotency_key, min_position, written })
}
