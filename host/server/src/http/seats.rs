//! How many connections one address may hold.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections by the party that holds them.
type Taken = Mutex<HashMap<IpAddr, usize>>;

/// The connections that are held, by address. This machine's own are not counted: a proxy brings everybody's from there.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: Arc<Taken>,
    per_address_max: usize,
}

/// One connection's place; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    taken: Arc<Taken>,
    /// `None` when it is not counted.
    party: Option<IpAddr>,
}

impl Seats {
    /// Up to `per_address_max` connections for each address.
    pub(crate) fn new(per_address_max: usize) -> Self {
        Self {
            taken: Arc::default(),
            per_address_max,
        }
    }

    /// A seat for a connection from `address`; `None` when that address holds as many as one may.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Seat> {
        let party = party(address);
        if let Some(party) = party {
            let mut taken = lock(&self.taken);
            let held = taken.entry(party).or_default();
            if *held >= self.per_address_max {
                return None;
            }
            *held += 1;
        }
        Some(Seat {
            taken: self.taken.clone(),
            party,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(party) = self.party else { return };
        let mut taken = lock(&self.taken);
        if let Some(held) = taken.get_mut(&party) {
            *held = held.saturating_sub(1);
            // Addresses come and go: nothing is kept of those that hold nothing.
            if *held == 0 {
                taken.remove(&party);
            }
        }
    }
}

fn lock(taken: &Taken) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose connection it counts as. Whoever has an IPv6 address usually has the 2^64 of its network as well, so that the
/// network counts and not the address.
pub(super) fn party(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        own if own.is_loopback() => None,
        IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::{Seats, lock};
    use std::net::IpAddr;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_holds_no_more_than_its_share_and_gets_it_back() {
        let seats = Seats::new(2);
        let held = [
            seats.take(address("203.0.113.9")),
            seats.take(address("::ffff:203.0.113.9")),
        ];
        assert!(held.iter().all(Option::is_some));
        assert!(seats.take(address("203.0.113.9")).is_none());
        assert!(seats.take(address("203.0.113.10")).is_some(), "others are not affected");
        drop(held);
        assert!(seats.take(address("203.0.113.9")).is_some());
        assert!(lock(&seats.taken).is_empty(), "nothing is kept of who holds nothing");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_this_machine_not_at_all() {
        let seats = Seats::new(1);
        let _held = seats.take(address("2001:db8:1:2::1")).unwrap();
        assert!(seats.take(address("2001:db8:1:2:ffff::9")).is_none());
        assert!(seats.take(address("2001:db8:1:3::1")).is_some());
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let many: Vec<_> = (0..5).map(|_| seats.take(address(own)).unwrap()).collect();
            assert_eq!(many.len(), 5, "{own}");
        }
    }
}
