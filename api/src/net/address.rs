//! Whose request it is by the network: the peer of the connection, or whom a trusted proxy names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// How many proxies may stand behind one another; what a header says beyond them is not read.
const MOST_HOPS: usize = 16;

/// What limits go by: an IPv4 address, or the network of 64 bits of an IPv6 address. Whoever has one address of such a
/// network has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AddressKey(IpAddr);

impl AddressKey {
    /// The key of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        })
    }

    /// The larger network around it, for when there are too many to tell apart: 16 bits of IPv4, 32 bits of IPv6.
    pub(crate) fn around(self) -> Self {
        Self(match self.0 {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & 0xffff_0000)),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 32))),
        })
    }
}

impl std::fmt::Display for AddressKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How strictly an address is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// On this machine: an operator, a measurement, or a proxy that nobody declared. Nothing is limited.
    Local,
    /// In a private network: most often a proxy that nobody declared, for all its clients. Only its rate is limited, and it is
    /// never banned.
    Private,
    /// Anywhere else.
    Stranger,
}

impl Standing {
    /// That of an address that nobody vouches for. With `limit_local`, everyone is a stranger.
    pub(crate) fn of(address: IpAddr, limit_local: bool) -> Self {
        match address.to_canonical() {
            _ if limit_local => Self::Stranger,
            address if address.is_loopback() => Self::Local,
            IpAddr::V4(v4) if v4.is_private() || v4.is_link_local() || is_shared(v4) => Self::Private,
            IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => Self::Private,
            _ => Self::Stranger,
        }
    }
}

/// Who sends a request, as far as the network tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address; an IPv4 address is never written as IPv6.
    pub(crate) address: IpAddr,
    /// How strictly it is taken.
    pub(crate) standing: Standing,
}

impl Client {
    /// Who sends a request with these headers over a connection of `peer`. `X-Forwarded-For` is believed from the proxies
    /// only, from its end: each proxy adds whom it saw, so that what a client made up stands further left.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet], limit_local: bool) -> Self {
        let peer = peer.to_canonical();
        let trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
        if !trusted(&peer) {
            return Self { address: peer, standing: Standing::of(peer, limit_local) };
        }
        let mut address = peer;
        for hop in forwarded(headers).take(MOST_HOPS) {
            // Whatever stands beyond something unreadable may have been made up.
            let Some(hop) = hop else { break };
            address = hop;
            if !trusted(&hop) {
                break;
            }
        }
        // A proxy that names nobody stands for all its clients, and is not banned for one of them.
        let standing = match Standing::of(address, limit_local) {
            Standing::Stranger if address == peer => Standing::Private,
            standing if address == peer => standing,
            // Who comes through a proxy is not on this machine by itself.
            Standing::Local => Standing::Private,
            standing => standing,
        };
        Self { address, standing }
    }

    /// What its limits go by.
    pub(crate) fn key(&self) -> AddressKey {
        AddressKey::of(self.address)
    }
}

/// Addresses that providers share among their customers (RFC 6598).
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0b1100_0000 == 64
}

/// The addresses of `X-Forwarded-For`, the last one first; `None` for one that cannot be read.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all("x-forwarded-for").iter().collect::<Vec<_>>().into_iter().rev();
    // What is no text is one address that cannot be read, not a line: a client could have written it, further left.
    let read = |part: &[u8]| address(std::str::from_utf8(part).ok()?.trim());
    lines.flat_map(move |line| line.as_bytes().rsplit(|byte| *byte == b',').map(read).collect::<Vec<_>>())
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let address = plain.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn client(peer: &str, lines: &[&'static str]) -> (String, Standing) {
        let name = HeaderName::from_static("x-forwarded-for");
        let headers = lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        );
        let proxies: [IpNet; 2] = ["10.1.0.0/16".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        let client = Client::of(peer.parse().unwrap(), &headers, &proxies, false);
        (client.address.to_string(), client.standing)
    }

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is_and_only_the_last_stranger_counts() {
        let stranger = |address: &str| (address.to_owned(), Standing::Stranger);
        assert_eq!(client("198.51.100.7", &["203.0.113.9"]), stranger("198.51.100.7"), "a stranger says what it likes");
        assert_eq!(client("10.1.0.5", &["203.0.113.9"]), stranger("203.0.113.9"));
        assert_eq!(client("10.1.0.5", &["127.0.0.1, 192.0.2.1, 203.0.113.9, 10.1.0.6"]), stranger("203.0.113.9"));
        assert_eq!(client("10.1.0.5", &["192.0.2.1", "203.0.113.9:4711"]), stranger("203.0.113.9"));
        assert_eq!(client("::ffff:10.1.0.5", &["[2001:db8::1]:80"]), stranger("2001:db8::1"));
        assert_eq!(client("10.1.0.5", &["203.0.113.9, unknown"]).0, "10.1.0.5", "what stands left of nonsense is not believed");
    }

    #[test]
    fn what_is_no_text_hides_nobody_who_stands_right_of_it() {
        let name = HeaderName::from_static("x-forwarded-for");
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_bytes(b"\xff, 203.0.113.9").unwrap())]);
        let proxies: [IpNet; 1] = ["10.1.0.0/16".parse().unwrap()];
        let client = Client::of("10.1.0.5".parse().unwrap(), &headers, &proxies, false);
        assert_eq!((client.address.to_string().as_str(), client.standing), ("203.0.113.9", Standing::Stranger));
    }

    #[test]
    fn this_machine_is_not_limited_and_private_networks_are_never_banned() {
        assert_eq!(client("127.0.0.2", &[]).1, Standing::Local);
        assert_eq!(client("::1", &[]).1, Standing::Local);
        assert_eq!(client("127.0.0.1", &[]).1, Standing::Local);
        assert_eq!(client("127.0.0.1", &["127.0.0.2"]).1, Standing::Private, "who comes through a proxy is limited");
        for private in ["10.1.0.5", "10.9.0.1", "192.168.0.1", "172.16.3.4", "100.64.0.1", "fd00::1", "fe80::1", "169.254.0.1"] {
            assert_eq!(client(private, &[]).1, Standing::Private, "{private}");
        }
        assert_eq!(client("100.128.0.1", &[]).1, Standing::Stranger);
        let local = Client::of("127.0.0.1".parse().unwrap(), &HeaderMap::new(), &[], true);
        assert_eq!(local.standing, Standing::Stranger, "unless the operator wants it");
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let key = |address: &str| AddressKey::of(address.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_eq!(key("2001:db8:1:2::1").around(), key("2001:db8::").around());
        assert_eq!(key("192.0.2.1").around().to_string(), "192.0.0.0");
    }
}
