//! Where a request comes from.

use std::net::SocketAddr;

use http::Extensions;

/// Who is at the other end of the connection. The listener puts it into each request's extensions; a
/// request without it counts as coming from far away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Someone at the machine itself: through the hub's own socket, whose file only its owner may open, or
    /// in the same process. May do everything.
    Console,
    /// Whoever connected over TCP from this address.
    Tcp(SocketAddr),
}

impl Peer {
    /// The peer of a request.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().copied()
    }

    /// Whether the connection comes from this machine.
    pub(crate) const fn is_this_machine(self) -> bool {
        match self {
            Self::Console => true,
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Peer;

    #[test]
    fn loopback_is_this_machine_in_every_spelling() {
        for (text, here) in [
            ("127.0.0.1:9", true),
            ("[::1]:9", true),
            ("[::ffff:127.0.0.1]:9", true),
            ("10.0.0.1:9", false),
            ("[::ffff:10.0.0.1]:9", false),
        ] {
            assert_eq!(Peer::Tcp(text.parse().unwrap()).is_this_machine(), here, "{text}");
        }
        assert!(Peer::Console.is_this_machine());
    }
}
