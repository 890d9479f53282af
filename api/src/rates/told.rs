//! What a caller is told of its limits: the headers `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).

use std::{fmt::Write, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::rates::Rate;

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(super) name: &'static str,
    pub(super) rate: Rate,
    /// How many requests may come now.
    pub(super) left: u32,
    /// In what time all of them, or when none is left one, may come again.
    pub(super) resets_in: Duration,
}

/// A time in whole seconds, so that who waits as long has waited long enough.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Adds the headers to an answer; nothing if there was no limit.
pub(crate) fn append(told: &[Told], headers: &mut HeaderMap) {
    if told.is_empty() {
        return;
    }
    let (mut policy, mut now) = (String::new(), String::new());
    for Told { name, rate, left, resets_in } in told {
        let comma = if policy.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(policy, "{comma}\"{name}\";q={};w={}", rate.requests(), rate.window().as_secs());
        let _ = write!(now, "{comma}\"{name}\";r={left};t={}", whole_seconds(*resets_in));
    }
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", now)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_those_of_the_draft() {
        let told = |name, rate: &str, left, millis| Told {
            name,
            rate: rate.parse().unwrap(),
            left,
            resets_in: Duration::from_millis(millis),
        };
        let mut headers = HeaderMap::new();
        append(&[], &mut headers);
        assert!(headers.is_empty());
        append(&[told("address", "3000/m", 2_990, 200), told("sign-in", "10/m", 0, 6_000)], &mut headers);
        assert_eq!(headers["ratelimit-policy"], r#""address";q=3000;w=60, "sign-in";q=10;w=60"#);
        assert_eq!(headers["ratelimit"], r#""address";r=2990;t=1, "sign-in";r=0;t=6"#);
    }
}
