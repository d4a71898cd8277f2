//! `clock`: the hub's time.

use crate::contract::clock::Host;
use crate::host::CallState;

impl Host for CallState {
    fn now(&mut self) -> i64 {
        self.bound.plugin.engine.clock.now().0
    }

    fn remaining_ms(&mut self) -> u64 {
        u64::try_from(self.remaining().as_millis()).unwrap_or(u64::MAX)
    }
}
