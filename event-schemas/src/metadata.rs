//! Who did it, on whose request, and because of what: the metadata recorded with every event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is recorded beside an event's payload. Absent fields are not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Who asked: `customer` (in older logs `shopper`), `support:0197…` (a role and an account), `merchant:ana` (a role and
    /// the name in a token), `api-key:0197…`, `process:orders`, `import:online-retail`.
    pub actor: String,
    /// The command that produced the event; all events of one command share it and stand next to each other in the log.
    pub command_id: Uuid,
    /// The request or import run that the command belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// The event that caused the command, when a process issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The W3C trace id of the request, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The idempotency key of the command, on its first event only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
}

/// A caller's promise that two requests are the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// Actor, operation and the caller's key, joined: the scope within which the key is unique.
    pub scope: String,
    /// SHA-256 of the request's content, hexadecimal: the same key with another content is refused.
    pub fingerprint: String,
}
