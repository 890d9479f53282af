//! Pages of other origins: which of them may ask the shop from a browser, and how.

use std::{str::FromStr, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::Authority};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::http::tracing_ids::CORRELATION_ID;

/// How long a browser may remember what it was told about an origin.
const REMEMBERED: Duration = Duration::from_secs(600);

/// An origin as browsers name it (RFC 6454, section 6.1), such as `https://shop.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// What no browser calls an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an origin; write https://shop.example or http://localhost:5173, without a path or a port that is usual")]
pub struct InvalidOrigin(String);

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        // Browsers write scheme and host in small letters, and compare the whole as text.
        let origin = text.to_ascii_lowercase();
        let (scheme, rest) = origin.split_once("://").ok_or_else(invalid)?;
        let usual_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(invalid()),
        };
        let authority: Authority = rest.parse().map_err(|_| invalid())?;
        let host = authority.host();
        let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
        let as_written = match authority.port_u16() {
            None => rest == host,
            Some(port) => port != usual_port && rest == format!("{host}:{port}"),
        };
        if !is_host || !as_written {
            return Err(invalid());
        }
        HeaderValue::from_str(&origin).map(Self).map_err(|_| invalid())
    }
}

/// Lets pages of these origins ask and read the answers. A browser sends nothing of its own along, such as cookies: only
/// what the page itself says, such as a token.
pub(crate) fn layer(origins: &[Origin]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().map(|origin| origin.0.clone())))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            CORRELATION_ID,
            HeaderName::from_static("daybook-min-position"),
            HeaderName::from_static("daybook-reason"),
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers([
            CORRELATION_ID,
            header::RETRY_AFTER,
            HeaderName::from_static("ratelimit-policy"),
            HeaderName::from_static("ratelimit"),
        ])
        .max_age(REMEMBERED)
}

/// Whether whoever opens a socket is no page, a page of the shop's own host, or one of these origins. A browser lets any page
/// open a socket to anywhere, and only says whose page it is.
pub(crate) fn may_open_socket(headers: &HeaderMap, origins: &[Origin]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let is_own = || {
        let (_, host_of_page) = origin.to_str().ok()?.split_once("://")?;
        Some(headers.get(header::HOST)?.to_str().ok()?.eq_ignore_ascii_case(host_of_page))
    };
    origins.iter().any(|allowed| allowed.0 == *origin) || is_own() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends_and_nothing_else() {
        for origin in ["https://shop.example", "http://localhost:5173", "http://[::1]:5173", "https://shop.example:8443"] {
            assert_eq!(origin.parse::<Origin>().unwrap().0, origin);
        }
        assert_eq!("HTTPS://Shop.Example".parse::<Origin>().unwrap().0, "https://shop.example");
        for wrong in [
            "",
            "*",
            "null",
            "shop.example",
            "https://",
            "https://*.shop.example",
            "https://shop.example/",
            "https://shop.example/admin",
            "https://shop.example:443",
            "http://shop.example:80",
            "https://shop.example:",
            "https://shop.example:080",
            "https://ana@shop.example",
            "https://a.example,https://b.example",
            "ftp://shop.example",
        ] {
            assert_eq!(wrong.parse::<Origin>(), Err(InvalidOrigin(wrong.to_owned())));
        }
    }

    #[test]
    fn a_socket_is_for_the_shops_own_pages_for_those_allowed_and_for_what_is_no_page() {
        let allowed: [Origin; 1] = ["https://shop.example".parse().unwrap()];
        let may = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("api.example:8080"))]);
            headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
            may_open_socket(&headers, &allowed)
        };
        assert!(may(None) && may(Some("https://shop.example")) && may(Some("http://api.example:8080")));
        for other in ["null", "", "http://api.example", "http://shop.example", "https://shop.example.evil.example"] {
            assert!(!may(Some(other)), "{other}");
        }
    }
}
