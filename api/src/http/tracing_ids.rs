//! The ids that tie a request to its log lines and events: correlation id and W3C trace id.

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

/// The header that carries the correlation id, both ways.
pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The correlation id that the client sent, if it is a UUID; else a new one.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Uuid {
    let sent = headers.get(CORRELATION_ID).and_then(|value| Uuid::try_parse_ascii(value.as_bytes()).ok());
    sent.unwrap_or_else(Uuid::now_v7)
}

/// The trace id of a `traceparent` header (W3C Trace Context, section 3.2), if it is well formed.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    let header = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = header.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let well_formed = is_hex(version, 2) && version != "ff" && is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2);
    (well_formed && trace.bytes().any(|b| b != b'0')).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn of(traceparent: &'static str) -> Option<String> {
        let name = HeaderName::from_static("traceparent");
        trace_id(&HeaderMap::from_iter([(name, HeaderValue::from_static(traceparent))]))
    }

    #[test]
    fn a_well_formed_traceparent_gives_its_trace_id_and_others_give_none() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_deref(), Some(trace));
        assert_eq!(of(""), None);
        assert_eq!(of("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"), None);
        assert_eq!(of("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
    }
}
