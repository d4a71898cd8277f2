//! Numbered luck, how much of it, and what came of it.

use mihwar_model::SplitMix64;

/// Numbers that follow from their seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(SplitMix64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The numbers themselves.
    pub(crate) fn numbers(&mut self) -> &mut SplitMix64 {
        &mut self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// True in `percent` of all cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Text of about `length` bytes, Arabic beside Latin.
    pub(crate) fn text(&mut self, length: usize) -> Vec<u8> {
        let words = ["شكوى ", "delay ", "الخدمة ", "parcel ", "متأخرة ", "رقم ", "7 "];
        let mut text = String::new();
        while text.len() < length {
            text.push_str(words[self.below(words.len())]);
        }
        text.into_bytes()
    }
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}

/// How often something is done: `usual` times `MIHWAR_FAULT_ROUNDS`.
pub(crate) fn rounds(usual: u64) -> u64 {
    usual * setting("MIHWAR_FAULT_ROUNDS", 1).max(1)
}

/// `usual` seeds, or as many more as were asked for.
pub(crate) fn seeds(usual: u64) -> std::ops::Range<u64> {
    let first = setting("MIHWAR_FAULT_SEED", 1);
    first..first + rounds(usual)
}

/// What a fault test did and found, in the one form that `cargo xtask faults` reads: `faults: NAME: key value, key value`.
pub(crate) fn summary(name: &str, figures: &[(&str, u64)]) {
    let figures: Vec<String> = figures.iter().map(|(key, value)| format!("{key} {value}")).collect();
    eprintln!("faults: {name}: {}", figures.join(", "));
}
