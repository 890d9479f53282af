//! The names that the shop answers to.

use std::str::FromStr;

use axum::http::{HeaderMap, Uri, header, uri::Authority};

/// A name, or an address, that requests may be for. The port does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost(String);

/// What is no name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host; write shop.example, without a scheme, a port or a path")]
pub struct InvalidHost(String);

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let authority = text.parse::<Authority>().ok().filter(|authority| authority.as_str() == authority.host());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        match authority {
            Some(authority) if authority.host().bytes().all(is_name) => Ok(Self(written(authority.host()))),
            _ => Err(InvalidHost(text.to_owned())),
        }
    }
}

/// As names are compared: in small letters, without the dot that may end them.
fn written(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a request is for one of these hosts. Without any, it always is.
pub(crate) fn is_for(hosts: &[AllowedHost], uri: &Uri, headers: &HeaderMap) -> bool {
    if hosts.is_empty() {
        return true;
    }
    // A target with a host of its own goes before the header (RFC 9112, section 3.2.2).
    let named = uri.host().map(written).or_else(|| {
        let mut lines = headers.get_all(header::HOST).iter();
        let authority: Authority = lines.next()?.to_str().ok()?.parse().ok()?;
        lines.next().is_none().then(|| written(authority.host()))
    });
    named.is_some_and(|named| hosts.iter().any(|allowed| allowed.0 == named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_request_is_for_a_host_that_is_named_whatever_its_port_and_letters() {
        let hosts: [AllowedHost; 2] = ["Shop.Example".parse().unwrap(), "[::1]".parse().unwrap()];
        let asked = |host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            is_for(&hosts, &Uri::from_static("/graphql"), &headers)
        };
        assert!(asked("shop.example") && asked("SHOP.example:8443") && asked("shop.example.") && asked("[::1]:8080"));
        for other in ["", "evil.example", "shop.example.evil.example", "127.0.0.1", "shop.example@evil.example", "a b"] {
            assert!(!asked(other), "{other}");
        }
        assert!(!is_for(&hosts, &Uri::from_static("/"), &HeaderMap::new()), "nameless");
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("shop.example"))]);
        assert!(!is_for(&hosts, &Uri::from_static("http://evil.example/"), &headers), "the target goes first");
        assert!(is_for(&[], &Uri::from_static("/"), &HeaderMap::new()));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for wrong in ["", "https://shop.example", "shop.example:80", "shop.example/", "*", "a,b", "ana@shop.example"] {
            assert_eq!(wrong.parse::<AllowedHost>(), Err(InvalidHost(wrong.to_owned())), "{wrong}");
        }
    }
}
