//! What fault tests share: how long they run, chance that can be repeated, and what they tell.

use mihwar_model::SplitMix64;

/// Environment variable: a fault test does this many times its usual rounds. Default 1.
const ROUNDS: &str = "MIHWAR_FAULT_ROUNDS";
/// Environment variable: the seed to repeat. Default: another one in each run.
const SEED: &str = "MIHWAR_FAULT_SEED";

/// How many rounds to make: `usual`, times what `MIHWAR_FAULT_ROUNDS` says.
#[must_use]
pub fn rounds(usual: u64) -> u64 {
    usual * number(ROUNDS).unwrap_or(1).max(1)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.trim().parse().ok()
}

/// Tells what a fault test did and found, in the one form that `cargo xtask faults` reads:
/// `faults: NAME: key value, key value`.
pub fn report_faults(name: &str, figures: &[(&str, u64)]) {
    let figures: Vec<String> = figures.iter().map(|(key, value)| format!("{key} {value}")).collect();
    eprintln!("faults: {name}: {}", figures.join(", "));
}

/// Chance from a seed. Says its seed when the test that holds it fails.
#[derive(Debug)]
pub struct Dice {
    seed: u64,
    numbers: SplitMix64,
}

impl Dice {
    /// Dice with the seed that `MIHWAR_FAULT_SEED` names, or with one that the time gives.
    #[must_use]
    pub fn thrown() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test plays the outside world")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let of_now = now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20));
        // Short enough to be typed.
        let seed = number(SEED).unwrap_or(of_now % 1_000_000_000);
        Self {
            seed,
            numbers: SplitMix64::new(seed),
        }
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.numbers.below(end)
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}; to repeat it: {SEED}={}", self.seed, self.seed);
        }
    }
}
