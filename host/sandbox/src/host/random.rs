//! `random`: the hub's randomness.

use uuid::Builder;

use crate::contract::random::Host;
use crate::host::CallState;

/// Most bytes of one call.
const MOST: u32 = 4096;

impl Host for CallState {
    fn bytes(&mut self, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(length.min(MOST)).unwrap_or(0)];
        self.bound.plugin.engine.randomness.fill(&mut bytes);
        bytes
    }

    fn uuid(&mut self) -> String {
        let engine = &self.bound.plugin.engine;
        let mut random = [0; 10];
        engine.randomness.fill(&mut random);
        let millis = u64::try_from(engine.clock.now().0).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &random)
            .into_uuid()
            .to_string()
    }
}
