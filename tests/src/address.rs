//! Addresses for hubs that a test starts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// The first port that is tried.
const FIRST: u32 = 10_000;
/// How many there are: all lie below 32768, where the ports begin that the system gives to whoever connects without naming
/// one. None of those takes the port of a hub that is about to start, or to start again.
const PORTS: u32 = 22_000;
/// How far the beginnings of two processes with neighbouring numbers are apart: more than the hubs that a test starts.
const STRIDE: u32 = 97;

/// An address of this machine that nobody listens on, another one at each call.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(STRIDE);
    for _ in 0..PORTS {
        let place = begin.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = u16::try_from(FIRST + place).map_err(io::Error::other)?;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr();
        }
    }
    Err(io::Error::other("every port from 10000 to 32000 is taken"))
}

#[cfg(test)]
mod tests {
    use super::free_address;

    #[test]
    fn addresses_differ_and_lie_below_those_of_the_system() {
        let found: Vec<_> = (0..5).map(|_| free_address().unwrap()).collect();
        for (number, address) in found.iter().enumerate() {
            assert!((10_000..32_000).contains(&address.port()), "{address}");
            assert!(!found[..number].contains(address), "{found:?}");
        }
    }
}
