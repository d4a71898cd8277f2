//! A metric plugin that asks for a clock: its figure would be another one each time. For tests of the sandbox only.

use std::time::Instant;

use mihwar_sdk::Metric;
use mihwar_sdk::figure::{Definition, Fact, Outcome, Part};

/// The guest.
pub struct Timed {
    started: Instant,
    n: u64,
}

impl Default for Timed {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            n: 0,
        }
    }
}

impl Metric for Timed {
    fn definition() -> Definition {
        Definition {
            id: "timed".into(),
            version: "1".into(),
            statement: "how long it took".into(),
            unit: "seconds".into(),
        }
    }

    fn add(&mut self, _: &Fact<'_>) {
        self.n += 1;
    }

    fn finish(&self) -> Outcome {
        Outcome {
            n: self.n,
            value: None,
            interval: None,
            parts: vec![Part::count("seconds", self.started.elapsed().as_secs())],
        }
    }
}

mihwar_sdk::export!(Timed: Metric);
