//! The loop: choose a seed, change it, ask the target, keep what is new, report what is wrong.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::mutate::mutate;
use crate::watch::Watched;
use crate::{ALLOCATED, Target};

/// Inputs that are kept as seeds.
const CORPUS_MAX: usize = 2_000;
/// Different findings after which a target is given up.
const FINDINGS_MAX: usize = 5;
/// Attempts to make a finding's input smaller.
const SHRINKING_MAX: usize = 3_000;
/// Attempts to make a new seed smaller.
const SEED_SHRINKING_MAX: usize = 100;

/// How long a target runs.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// For this long.
    Time(Duration),
    /// This many inputs: the same ones in every run with the same seed.
    Inputs(u64),
}

/// Something that is not as it should be.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What.
    pub what: String,
    /// The smallest input found for it.
    pub input: Vec<u8>,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs that were tried.
    pub executions: u64,
    /// Seeds at the end, with those that were found.
    pub corpus: usize,
    /// The slowest input's time.
    pub slowest: Duration,
    /// Most bytes that one input had allocated at once.
    pub peak_bytes: usize,
    /// What is wrong, each once.
    pub findings: Vec<Finding>,
}

/// Runs a target.
///
/// # Panics
/// When it has no seed: then it would be asked about next to nothing.
#[must_use]
pub fn run(target: &Target, seed: u64, budget: Budget) -> Report {
    let mut dice = Dice::new(seed);
    let mut corpus = (target.seeds)();
    assert!(!corpus.is_empty(), "{} has no seed", target.name);
    let mut known = HashSet::new();
    let mut found = BTreeMap::new();
    let mut report = Report::default();
    let started = Instant::now();
    let goes_on = |executions: u64| match budget {
        Budget::Time(time) => started.elapsed() < time,
        Budget::Inputs(inputs) => executions < inputs,
    };
    let seeds = corpus.clone();
    let mut seeds = seeds.into_iter();
    while goes_on(report.executions) && found.len() < FINDINGS_MAX {
        let (input, is_seed) = match seeds.next() {
            Some(seed) => (seed, true),
            None => (changed(&mut dice, &corpus, target.words), false),
        };
        let begun = Instant::now();
        let tried = try_input(target, &input);
        report.executions += 1;
        report.slowest = report.slowest.max(begun.elapsed());
        report.peak_bytes = report.peak_bytes.max(tried.peak_bytes);
        match tried.outcome {
            Ok(answer) => {
                let shape_of_it = shape(&answer);
                let new = known.insert(shape_of_it);
                if new && !is_seed && corpus.len() < CORPUS_MAX {
                    // The shorter a seed, the likelier the next change hits what counts in it.
                    let same = |outcome: &Result<String, String>| {
                        outcome.as_ref().is_ok_and(|answer| shape(answer) == shape_of_it)
                    };
                    corpus.push(shrunk(target, input, SEED_SHRINKING_MAX, same));
                }
            }
            Err(what) => {
                found.entry(kind(&what)).or_insert(Finding { what, input });
            }
        }
    }
    report.corpus = corpus.len();
    report.findings = found.into_values().map(|finding| smaller(target, finding)).collect();
    report
}

fn changed(dice: &mut Dice, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    // New seeds more often than old ones.
    let from = if dice.below(2) == 0 { corpus.len() / 2 } else { 0 };
    let mut input = dice.pick(&corpus[from..]).cloned().unwrap_or_default();
    let other = dice.pick(corpus).cloned().unwrap_or_default();
    mutate(dice, &mut input, words, &other);
    input
}

/// What one input led to.
#[derive(Debug)]
pub struct Tried {
    /// What the target answered, or what is wrong.
    pub outcome: Result<String, String>,
    /// Most bytes that were allocated at once.
    pub peak_bytes: usize,
}

/// Asks a target about one input. A panic is a finding, and so is memory beyond the target's bound. An input that takes
/// too long ends the process, once it is kept: see watch.rs.
#[must_use]
pub fn try_input(target: &Target, input: &[u8]) -> Tried {
    thread_local! {
        static SAID: RefCell<String> = const { RefCell::new(String::new()) };
    }
    let _watched = Watched::begin(target.name, input);
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|info| SAID.set(info.to_string())));
    let ended = panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    panic::set_hook(hook);
    let peak_bytes = ALLOCATED.peak_usage().saturating_sub(before);
    let outcome = ended.unwrap_or_else(|_| Err(format!("panic: {}", SAID.take())));
    let bound = target.bytes_max + 64 * input.len();
    let outcome = match outcome {
        Ok(_) if peak_bytes > bound => Err(format!(
            "memory: {peak_bytes} bytes at once for {} bytes of input",
            input.len()
        )),
        other => other,
    };
    Tried { outcome, peak_bytes }
}

/// What two answers have in common when they differ only in numbers and in the letters of names.
fn shape(answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut last = None;
    for c in answer.chars().take(600) {
        let class = if c.is_numeric() { '0' } else { c };
        if class == '0' && last == Some('0') {
            continue;
        }
        last = Some(class);
        class.hash(&mut hasher);
    }
    hasher.finish()
}

/// The same fault has the same kind, whatever the input.
fn kind(what: &str) -> String {
    let plain = what.chars().filter(|c| !c.is_numeric() && c.is_ascii());
    plain.take(90).collect()
}

/// A finding with the smallest input that is still the same finding.
fn smaller(target: &Target, finding: Finding) -> Finding {
    let wanted = kind(&finding.what);
    let same = |outcome: &Result<String, String>| outcome.as_ref().is_err_and(|what| kind(what) == wanted);
    let input = shrunk(target, finding.input, SHRINKING_MAX, same);
    let what = try_input(target, &input).outcome.err().unwrap_or(finding.what);
    Finding { what, input }
}

/// Cuts pieces out of an input as long as what it leads to is the same.
fn shrunk(
    target: &Target,
    mut best: Vec<u8>,
    tries_max: usize,
    same: impl Fn(&Result<String, String>) -> bool,
) -> Vec<u8> {
    let mut piece = best.len() / 2;
    let mut tries = 0;
    while piece > 0 && tries < tries_max {
        let mut at = 0;
        while at < best.len() && tries < tries_max {
            tries += 1;
            let end = (at + piece).min(best.len());
            let cut = [&best[..at], &best[end..]].concat();
            if same(&try_input(target, &cut).outcome) {
                best = cut;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::{Budget, run};
    use crate::Target;

    fn only_after_three_steps(input: &[u8]) -> Result<String, String> {
        let depth = b"abc"
            .iter()
            .zip(input)
            .take_while(|(wanted, found)| wanted == found)
            .count();
        if depth == 3 && input.len() > 3 {
            return Err(format!("found at {} bytes", input.len()));
        }
        Ok(["none", "one", "two", "three"]
            .get(depth)
            .copied()
            .unwrap_or_default()
            .to_owned())
    }

    const STEPS: Target = Target {
        name: "steps",
        seeds: || vec!["سؤال?".as_bytes().to_vec()],
        words: &[],
        check: only_after_three_steps,
        bounded_inputs: 0,
        bytes_max: 1 << 20,
    };

    #[test]
    fn a_fault_behind_several_steps_is_found_and_made_small() {
        let report = run(&STEPS, 7, Budget::Inputs(500_000));
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert_eq!(report.findings[0].input.len(), 4, "{report:?}");
        assert!(report.findings[0].input.starts_with(b"abc"));
    }

    #[test]
    fn the_same_seed_tries_the_same_inputs() {
        let told = |seed| {
            let report = run(&STEPS, seed, Budget::Inputs(3_000));
            (report.executions, report.corpus)
        };
        assert_eq!(told(5), told(5));
    }

    #[test]
    fn a_panic_and_too_much_memory_are_findings() {
        let greedy = Target {
            check: |input| Ok(vec![1_u8; 4 << 20].len().to_string() + &input.len().to_string()),
            ..STEPS
        };
        assert!(run(&greedy, 1, Budget::Inputs(1)).findings[0].what.contains("memory"));
        let panicking = Target {
            check: |input| Ok(input[9_999].to_string()),
            ..STEPS
        };
        assert!(run(&panicking, 1, Budget::Inputs(1)).findings[0].what.contains("panic"));
    }
}
