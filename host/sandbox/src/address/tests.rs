use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::{AddressRule, V4_BLOCKS, V6_BLOCKS, refused_because};

fn v4_ends(base: Ipv4Addr, length: u32) -> [Ipv4Addr; 2] {
    let first = base.to_bits();
    let last = first | u32::MAX.checked_shr(length).unwrap_or(0);
    [Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last)]
}

fn v6_ends(base: Ipv6Addr, length: u32) -> [Ipv6Addr; 2] {
    let first = base.to_bits();
    let last = first | u128::MAX.checked_shr(length).unwrap_or(0);
    [Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last)]
}

/// An IPv4 address in the notations that carry one inside IPv6.
fn inside_v6(v4: Ipv4Addr) -> [IpAddr; 4] {
    let bits = u128::from(v4.to_bits());
    [
        Ipv6Addr::from_bits(0xffff_0000_0000 | bits).into(),
        Ipv6Addr::from_bits(bits).into(),
        Ipv6Addr::from_bits(0x0064_ff9b_u128 << 96 | bits).into(),
        Ipv6Addr::from_bits(0x2002_u128 << 112 | bits << 80).into(),
    ]
}

#[test]
fn the_ends_of_every_special_v4_block_are_refused_in_every_notation() {
    for (base, length, rule) in V4_BLOCKS {
        for end in v4_ends(*base, *length) {
            assert!(refused_because(end.into(), false).is_some(), "{end} of {base}/{length}");
            for carried in inside_v6(end) {
                assert!(refused_because(carried, false).is_some(), "{carried} carries {end}");
            }
            if matches!(rule, AddressRule::Private(_)) {
                assert_eq!(refused_because(end.into(), true), None, "{end} with private = true");
            } else {
                assert!(refused_because(end.into(), true).is_some(), "{end} with private = true");
            }
        }
    }
}

#[test]
fn the_ends_of_every_special_v6_block_are_refused() {
    for (base, length, rule) in V6_BLOCKS.iter().filter(|(_, _, rule)| *rule != AddressRule::Public) {
        let [first, last] = v6_ends(*base, *length);
        for end in [first, last] {
            assert!(refused_because(end.into(), false).is_some(), "{end} of {base}/{length}");
        }
        if matches!(rule, AddressRule::Private(_)) {
            assert_eq!(refused_because(last.into(), true), None, "{last} with private = true");
        }
    }
}

#[test]
fn neighbours_of_the_blocks_are_public() {
    for public in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "168.63.129.15",
        "168.63.129.17",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "8.8.8.8",
        "2606:4700::1111",
        "2a00::1",
        "2001:200::1",
    ] {
        let address: IpAddr = public.parse().unwrap();
        assert_eq!(refused_because(address, false), None, "{public}");
    }
}

#[test]
fn metadata_services_stay_refused_with_a_private_grant() {
    for metadata in [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fd00:42::42",
        "::ffff:169.254.169.254",
        "::ffff:168.63.129.16",
    ] {
        let address: IpAddr = metadata.parse().unwrap();
        assert!(refused_because(address, true).is_some(), "{metadata}");
    }
}

#[test]
fn odd_spellings_of_an_address_are_one_address_after_url_has_read_them() {
    for spelling in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0x7f.1",
        "１２７.０.０.１",
        "127.0.0.1.",
    ] {
        let url = url::Url::parse(&format!("http://{spelling}/")).unwrap();
        assert_eq!(url.host(), Some(url::Host::Ipv4(Ipv4Addr::LOCALHOST)), "{spelling}");
    }
}

proptest! {
    /// The table against the standard library's own idea of what is special.
    #[test]
    fn what_the_standard_library_calls_special_is_never_public(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let special = address.is_private() || address.is_loopback() || address.is_link_local()
            || address.is_broadcast() || address.is_documentation() || address.is_unspecified()
            || address.is_multicast();
        if special {
            prop_assert!(refused_because(address.into(), false).is_some());
        }
    }

    #[test]
    fn a_carried_address_is_never_freer_than_itself(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        if refused_because(address.into(), false).is_some() {
            for carried in inside_v6(address) {
                prop_assert!(refused_because(carried, false).is_some(), "{}", carried);
            }
        }
    }

    #[test]
    fn only_the_global_part_of_v6_can_be_public(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        if refused_because(address.into(), false).is_none() && address.to_ipv4_mapped().is_none() {
            prop_assert_eq!(bits >> 125, 1);
        }
    }
}
