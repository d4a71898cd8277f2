//! A metric plugin that asks for a clock: its figure would be another one each time. For tests of the sandbox only.

use mihwar_sdk::Metric;
use mihwar_sdk::bindings::host::mihwar::plugin::clock;
use mihwar_sdk::figure::{Definition, Fact, Outcome, Part};

/// The guest.
#[derive(Default)]
pub struct Timed {
    n: u64,
}

impl Metric for Timed {
    fn definition() -> Definition {
        Definition {
            id: "timed".into(),
            version: "1".into(),
            statement: "what time it is".into(),
            unit: "milliseconds".into(),
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
            parts: vec![Part::count("now", clock::now().unsigned_abs())],
        }
    }
}

mihwar_sdk::export!(Timed: Metric);
