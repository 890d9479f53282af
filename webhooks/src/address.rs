//! Which addresses of the network a webhook may be sent to.
//!
//! Whoever can enter a URL must not reach with it what only the shop's machine reaches: itself, its neighbours, the metadata
//! service of a cloud. So an address must be one of the public network, unless the operator names its network.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of IPv4 that are not the public network (IANA's registry of special purposes), and the one public address that
/// is a cloud's own service.
const FORBIDDEN_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),        // this network
    v4(10, 0, 0, 0, 8),       // private
    v4(100, 64, 0, 0, 10),    // shared by a carrier's customers, with the metadata service of a cloud
    v4(127, 0, 0, 0, 8),      // loopback
    v4(168, 63, 129, 16, 32), // a cloud's own service to its machines
    v4(169, 254, 0, 0, 16),   // link-local, with the metadata service of most clouds
    v4(172, 16, 0, 0, 12),    // private
    v4(192, 0, 0, 0, 24),     // protocol assignments, with the metadata service of a cloud
    v4(192, 0, 2, 0, 24),     // documentation
    v4(192, 88, 99, 0, 24),   // relays to IPv6
    v4(192, 168, 0, 0, 16),   // private
    v4(198, 18, 0, 0, 15),    // benchmarks
    v4(198, 51, 100, 0, 24),  // documentation
    v4(203, 0, 113, 0, 24),   // documentation
    v4(224, 0, 0, 0, 4),      // multicast
    v4(240, 0, 0, 0, 4),      // reserved, with broadcast
];

/// The part of IPv6 that is the public network. All else is refused: loopback, link-local, unique local, multicast.
const PUBLIC_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// Parts of it that are not.
const FORBIDDEN_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 0, 23),     // protocol assignments, with Teredo, which holds an address of IPv4
    v6(0x2001, 0xdb8, 0, 32), // documentation
    v6(0x2002, 0, 0, 16),     // 6to4, which holds an address of IPv4
    v6(0x3fff, 0, 0, 20),     // documentation
];

/// Addresses of IPv4 as networks without IPv4 write them (RFC 6052): checked as what they stand for.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// The rules: the public network, and what the operator names beyond it.
#[derive(Debug, Clone, Default)]
pub struct AddressRules {
    named: Arc<[IpNet]>,
}

impl AddressRules {
    /// The public network and the networks named.
    pub fn new(named: impl IntoIterator<Item = IpNet>) -> Self {
        Self { named: named.into_iter().collect() }
    }

    /// Whether an address may be sent to, over TLS.
    pub fn allow(&self, address: IpAddr) -> bool {
        self.names(address) || is_public(address)
    }

    /// Whether the operator has named the network of an address. Only such a network is trusted with what is not encrypted.
    pub fn names(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.named.iter().any(|net| net.contains(&address))
    }
}

fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => PUBLIC_V6.contains(&address) && !FORBIDDEN_V6.iter().any(|net| net.contains(&address)),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !FORBIDDEN_V4.iter().any(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rules: &AddressRules, address: &str) -> bool {
        !rules.allow(address.parse().unwrap())
    }

    #[test]
    fn each_family_of_addresses_that_is_not_public_is_refused() {
        let rules = AddressRules::default();
        let families = [
            ("this network", vec!["0.0.0.0", "0.1.2.3", "::"]),
            ("loopback", vec!["127.0.0.1", "127.255.255.254", "::1"]),
            ("private", vec!["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"]),
            ("link-local and metadata", vec!["169.254.0.1", "169.254.169.254", "fe80::1", "febf::1"]),
            ("metadata of single clouds", vec!["100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"]),
            ("carrier-grade translation", vec!["100.64.0.1", "100.127.255.255"]),
            ("unique and site local", vec!["fc00::1", "fdff::1", "fec0::1"]),
            ("multicast and broadcast", vec!["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::1"]),
            ("reserved", vec!["240.0.0.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "4000::1", "100::1"]),
            ("documentation", vec!["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"]),
            ("IPv4 in IPv6", vec!["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"]),
            (
                "IPv4 behind a relay",
                vec!["2002:7f00:1::", "2001:0:7f00:1::", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1"],
            ),
        ];
        for (family, addresses) in families {
            for address in addresses {
                assert!(refused(&rules, address), "{family}: {address}");
            }
        }
    }

    #[test]
    fn public_addresses_are_allowed_up_to_the_edge_of_what_is_not() {
        let rules = AddressRules::default();
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(!refused(&rules, address), "{address}");
        }
    }

    #[test]
    fn a_network_is_opened_by_naming_it_and_no_other_is() {
        let rules = AddressRules::new(["10.1.0.0/16".parse().unwrap(), "fd12::/16".parse().unwrap()]);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1"] {
            assert!(!refused(&rules, address) && rules.names(address.parse().unwrap()), "{address}");
        }
        for address in ["10.2.0.1", "127.0.0.1", "fd13::1"] {
            assert!(refused(&rules, address), "{address}");
        }
        assert!(!rules.names("1.1.1.1".parse().unwrap()), "a public address is not one that the operator named");
    }
}
