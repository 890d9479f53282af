//! What a client sends: a GraphQL request in JSON or in the query string, and the headers that go with it.

use std::sync::Arc;

use async_graphql::{ServerError, Variables};
use axum::http::{HeaderMap, StatusCode, header};
use domain::is_reference;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    access::{Caller, Identity},
    graphql::{Prepared, RequestContext, idempotency_key},
    http::{Refused, coded, limited::Meter, tracing_ids},
    metrics::OperationKind,
    net::Client,
    persisted::{Documents, Found, Hash, Named},
    shop::Shop,
};

/// A GraphQL request as it was sent.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The document.
    pub(crate) query: String,
    /// Under which hash the document is kept for other requests, once it turned out that it can be run.
    pub(crate) keep: Option<Hash>,
    /// Which of its operations to run.
    pub(crate) operation_name: Option<String>,
    /// The values of its variables.
    pub(crate) variables: Variables,
    /// The smallest position that the answer must reflect, from `extensions.minPosition`.
    pub(crate) min_position: Option<u64>,
}

impl Incoming {
    /// Reads the parameters of a request (GraphQL over HTTP, section 5.1), strictly, and finds the document that they name.
    pub(crate) fn from_json(value: Value, documents: &Documents) -> Result<Self, Refused> {
        let bad = |message: &str| Refused::bad_request("BAD_REQUEST", message);
        let mut fields = match value {
            Value::Object(fields) => fields,
            Value::Array(_) => return Err(Refused::bad_request("BATCH_LIMIT", "send one operation per request, not a list")),
            _ => return Err(bad("the request must be a JSON object")),
        };
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(bad(&format!("`{name}` must be a string"))),
        };
        let (query, id, operation_name) = (text("query")?, text("documentId")?, text("operationName")?);
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
        let Found { query, keep } = documents.find(Named { query, id, hash: Named::hash_of(&extensions)? })?;
        Ok(Self { query, keep, operation_name, variables: Variables::from_json(Value::Object(variables)), min_position })
    }

    /// Reads the parameters of a GET request from its query string.
    pub(crate) fn from_query(pairs: Vec<(String, String)>, documents: &Documents) -> Result<Self, Refused> {
        let mut fields = Map::new();
        for (name, text) in pairs {
            let value = match name.as_str() {
                "query" | "operationName" | "documentId" => Value::String(text),
                "variables" | "extensions" if text.is_empty() => Value::Null,
                "variables" | "extensions" => serde_json::from_str(&text)
                    .map_err(|_| Refused::bad_request("BAD_REQUEST", &format!("`{name}` must be JSON")))?,
                _ => continue,
            };
            if fields.insert(name.clone(), value).is_some() {
                return Err(Refused::bad_request("BAD_REQUEST", &format!("`{name}` is given twice")));
            }
        }
        Self::from_json(Value::Object(fields), documents)
    }
}

fn object(value: Option<Value>) -> Option<Map<String, Value>> {
    match value {
        None | Some(Value::Null) => Some(Map::new()),
        Some(Value::Object(fields)) => Some(fields),
        Some(_) => None,
    }
}

/// Parses and measures a request, and counts what a stranger may try a few times only.
///
/// # Errors
/// [`Refused`] for a document that cannot be run, may not be run in this way or by this caller, or is one attempt too many.
pub(crate) fn prepare(
    shop: &Shop,
    incoming: Incoming,
    context: RequestContext,
    meter: &mut Meter,
    may_mutate: bool,
) -> Result<Prepared, Refused> {
    let keep = incoming.keep.map(|hash| (hash, incoming.query.clone()));
    let prepared = Prepared::new(incoming, context)?;
    // Before anything is counted: a picture on anyone's page can send it for whoever looks at the page.
    if prepared.kind == OperationKind::Mutation && !may_mutate {
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "send a mutation with POST"));
    }
    if prepared.kind == OperationKind::Mutation && shop.as_of.is_some() {
        let error = ServerError::new("this is the shop as it was, or as it is read only: nothing can be changed here", None);
        return Err(Refused::document(vec![coded(error, "READ_ONLY")]));
    }
    let measured = prepared.measured;
    if measured.introspects && shop.door.production && matches!(prepared.caller().identity(), Identity::Nobody) {
        let error = ServerError::new("the schema is shown to callers with a token only", None);
        return Err(Refused::document(vec![coded(error, "INTROSPECTION_DISABLED")]));
    }
    meter.sign_ins(shop, prepared.caller(), measured.sign_ins)?;
    if let Some((hash, query)) = keep {
        shop.door.documents.keep(hash, &query);
    }
    Ok(prepared)
}

/// What resolvers know about the request besides its content.
pub(crate) fn context(
    caller: Caller,
    client: &Client,
    headers: &HeaderMap,
    correlation_id: Uuid,
) -> Result<RequestContext, Refused> {
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
    let reason = match headers.get("daybook-reason").map(|value| value.to_str().ok().filter(|text| is_reference(text))) {
        None => None,
        Some(Some(reason)) => Some(reason.to_owned()),
        Some(None) => {
            let form = "1 to 64 letters, digits and -_.:/#";
            return Err(bad(&format!("the header Daybook-Reason must be the reference of a ticket or a case: {form}")));
        }
    };
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| Some(value.to_str().ok()?.chars().take(200).collect()));
    let (trace_id, written) = (tracing_ids::trace_id(headers), Arc::default());
    let address = Some(client.address);
    Ok(RequestContext { caller, address, user_agent, correlation_id, trace_id, idempotency_key, reason, min_position, written })
}
