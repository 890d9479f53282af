//! What every answer tells a browser not to do with it.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::Response,
};

/// Adds what an answer does not say by itself: it is kept nowhere, is what its type says, has no parts, is in no frame, and
/// its address is told to nobody. Over TLS: the shop is asked over TLS for a year.
pub(crate) fn guard(response: &mut Response, tls: bool) {
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    add(header::CACHE_CONTROL, "no-store");
    add(header::CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'");
    add(header::REFERRER_POLICY, "no-referrer");
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(header::X_FRAME_OPTIONS, "DENY");
    if tls {
        add(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}
