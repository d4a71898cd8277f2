//! Which addresses an outgoing request may reach.
//!
//! One table says it all; a lookup takes the most specific row that matches. Whatever no row names is
//! public. Addresses that carry an IPv4 address inside (NAT64, 6to4, Teredo) are refused as a whole:
//! they would be a way around the IPv4 rows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What may be done with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressRule {
    /// Anybody may reach it.
    Public,
    /// Reachable only with `private = true` on the grant; says what it is.
    Private(&'static str),
    /// Never reachable; says what it is.
    Never(&'static str),
}

use AddressRule::{Never, Private, Public};

/// Blocks of the IANA special-purpose registries, with cloud metadata services named one by one.
pub(crate) const V4_BLOCKS: &[(Ipv4Addr, u32, AddressRule)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Never("this network")),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Private("a private network")),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Private("a carrier's shared network")),
    (Ipv4Addr::new(100, 100, 100, 200), 32, Never("a cloud metadata service")),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Private("this machine (loopback)")),
    // By its number public: every machine of one large cloud reaches that cloud's agent here.
    (Ipv4Addr::new(168, 63, 129, 16), 32, Never("a cloud metadata service")),
    (
        Ipv4Addr::new(169, 254, 0, 0),
        16,
        Never("link-local, where cloud metadata services live"),
    ),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Private("a private network")),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Never("reserved for protocols")),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Never("for documentation only")),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Never("the old 6to4 relay")),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Private("a private network")),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Never("for benchmarks only")),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Never("for documentation only")),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Never("for documentation only")),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Never("multicast")),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Never("reserved")),
    (Ipv4Addr::new(255, 255, 255, 255), 32, Never("broadcast")),
];

/// As [`V4_BLOCKS`], for IPv6. Everything outside 2000::/3 is refused by the first row.
pub(crate) const V6_BLOCKS: &[(Ipv6Addr, u32, AddressRule)] = &[
    (Ipv6Addr::UNSPECIFIED, 0, Never("not a global address")),
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Public),
    (Ipv6Addr::LOCALHOST, 128, Private("this machine (loopback)")),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, Never("NAT64")),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Never("local NAT64")),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, Never("discard-only")),
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        Never("reserved for protocols, Teredo among them"),
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        Never("for documentation only"),
    ),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Never("6to4")),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        Never("for documentation only"),
    ),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, Never("segment routing")),
    (
        Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0),
        7,
        Private("a private network (ULA)"),
    ),
    (
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        128,
        Never("a cloud metadata service"),
    ),
    (
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        128,
        Never("a cloud metadata service"),
    ),
    (
        Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
        128,
        Never("a cloud metadata service"),
    ),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Never("link-local")),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Never("multicast")),
];

impl AddressRule {
    /// The rule for an address. IPv4 written as IPv6 (`::ffff:a.b.c.d`) counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => most_specific(V4_BLOCKS, |base, length| {
                covers(u128::from(v4.to_bits()) << 96, u128::from(base.to_bits()) << 96, length)
            }),
            IpAddr::V6(v6) => most_specific(V6_BLOCKS, |base, length| covers(v6.to_bits(), base.to_bits(), length)),
        }
    }
}

/// Why an address is refused, or `None` when it may be reached.
#[must_use]
pub fn refused_because(address: IpAddr, private_granted: bool) -> Option<&'static str> {
    match AddressRule::of(address) {
        Public => None,
        Private(what) => (!private_granted).then_some(what),
        Never(what) => Some(what),
    }
}

fn most_specific<A>(blocks: &[(A, u32, AddressRule)], matches: impl Fn(&A, u32) -> bool) -> AddressRule {
    blocks
        .iter()
        .filter(|(base, length, _)| matches(base, *length))
        .max_by_key(|(_, length, _)| *length)
        .map_or(Public, |(_, _, rule)| *rule)
}

/// Whether the first `length` bits agree.
fn covers(address: u128, base: u128, length: u32) -> bool {
    length == 0 || (address ^ base) >> (128 - length) == 0
}

#[cfg(test)]
mod tests;
