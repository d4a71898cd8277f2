//! Memory for bodies that are read whole: one for each sort of sender, so that none starves another.

use std::sync::Arc;

use mihwar_hub::ServerSection;
use tokio::sync::Semaphore;

use super::words::Kind;
use crate::http::peer::Peer;

/// The largest body of another system's request, and of the command line's.
const LARGEST: usize = 4 << 20;
/// So many of the command line's largest bodies fit at once.
const CONSOLE_BODIES: usize = 4;

/// Bytes that bodies may hold.
#[derive(Debug)]
pub(super) struct Memory {
    /// For those who have a token, or say so.
    pub(super) api: Arc<Semaphore>,
    /// For other systems: nobody knows who they are before their body was read.
    pub(super) hooks: Arc<Semaphore>,
    /// For the command line, which keeps a way in whatever the network does.
    pub(super) console: Arc<Semaphore>,
}

impl Memory {
    /// As the configuration has it.
    pub(super) fn new(server: &ServerSection) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let of = |bytes: usize| Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        let api = size(server.body_memory.0);
        let console = (LARGEST * CONSOLE_BODIES).max(size(server.body_limit.0));
        Self {
            api: of(api),
            hooks: of((api / 2).max(LARGEST)),
            console: of(console),
        }
    }

    /// What a request's body is counted against.
    pub(super) fn of(&self, kind: Kind, peer: Peer) -> Arc<Semaphore> {
        Arc::clone(match (peer, kind) {
            (Peer::Console, _) => &self.console,
            (Peer::Tcp(_), Kind::Hook) => &self.hooks,
            (Peer::Tcp(_), _) => &self.api,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, LARGEST, Memory, Peer};
    use crate::testing::far_away;
    use mihwar_hub::ServerSection;
    use std::sync::Arc;

    fn sizes(body_memory: u64, body_limit: u64) -> (usize, usize, usize) {
        let mut server = ServerSection {
            streams: 1,
            ..ServerSection::default()
        };
        (server.body_memory.0, server.body_limit.0) = (body_memory, body_limit);
        let Memory { api, hooks, console } = Memory::new(&server);
        let free = [api, hooks, console].map(|memory| memory.available_permits());
        (free[0], free[1], free[2])
    }

    #[test]
    fn each_sort_of_sender_has_room_for_its_largest_body() {
        const MIB: usize = 1 << 20;
        assert_eq!(sizes(64 << 20, 256 << 10), (64 * MIB, 32 * MIB, 16 * MIB));
        // The least that a configuration may say, and a large limit: each one's largest body fits all the same.
        assert_eq!(sizes(4 << 20, 256 << 10), (4 * MIB, LARGEST, 16 * MIB));
        assert_eq!(sizes(40 << 20, 40 << 20), (40 * MIB, 20 * MIB, 40 * MIB));
    }

    #[test]
    fn the_console_s_bodies_are_its_own_whatever_it_asks() {
        let memory = Memory::new(&ServerSection::default());
        for kind in [Kind::Write, Kind::Stream, Kind::Hook] {
            assert!(
                Arc::ptr_eq(&memory.of(kind, Peer::Console), &memory.console),
                "{kind:?}"
            );
        }
        assert!(Arc::ptr_eq(&memory.of(Kind::Hook, far_away()), &memory.hooks));
        assert!(Arc::ptr_eq(&memory.of(Kind::Write, far_away()), &memory.api));
    }
}
