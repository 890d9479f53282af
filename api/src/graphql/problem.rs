//! Top-level errors: what is wrong with a request or with us, never a business rule. Each has a stable code.

use async_graphql::{Error, ErrorExtensions};
use projections::{NotYet, ViewError};

use crate::audit_log::NotRecorded;

fn coded(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// An argument that cannot be understood, such as an id of another kind.
pub(crate) fn bad_input(message: impl Into<String>) -> Error {
    coded("BAD_USER_INPUT", message)
}

/// An id that is not one of the expected kind.
pub(crate) fn bad_id(argument: &str) -> Error {
    bad_input(format!("`{argument}` is not an id of this kind"))
}

/// A list that is asked for with more rows than it gives at once.
pub(crate) fn page_limit(most: i32) -> Error {
    coded("PAGE_LIMIT", format!("`first` and `last` must be between 0 and {most}"))
}

/// Too many commands are waiting.
pub(crate) fn overloaded(retry_after: std::time::Duration) -> Error {
    let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    coded("OVERLOADED", "too many commands are waiting; try again shortly").extend_with(|_, extensions| {
        extensions.set("code", "OVERLOADED");
        extensions.set("retryAfterMs", millis);
    })
}

/// The views are behind the log, and what they do not show would be left out. Nothing was done.
pub(crate) fn not_yet_visible(not_yet: &NotYet) -> Error {
    coded("NOT_YET_VISIBLE", not_yet.to_string())
}

/// The server is stopping: another node, or this one after its restart, will carry it out.
pub(crate) fn stopping() -> Error {
    coded("STOPPING", "the server is stopping; nothing was done")
}

/// Something failed that is not the caller's business: the operator reads it in the log, the caller gets no detail.
pub(crate) fn fault(error: &dyn std::fmt::Display) -> Error {
    tracing::error!(%error, "a request failed");
    coded("INTERNAL", "this failed on our side; the correlation id of the answer finds it in the log")
}

/// Personal data that must not be shown, because it cannot be written down who sees it.
pub(crate) fn not_recorded(error: NotRecorded) -> Error {
    coded("AUDIT_UNAVAILABLE", error.to_string())
}

/// A view that could not be read, or a cursor that it did not make.
pub(crate) fn view(error: ViewError) -> Error {
    match error {
        ViewError::BadCursor => bad_input(ViewError::BadCursor.to_string()),
        other => fault(&other),
    }
}
