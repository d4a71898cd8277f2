//! `mihwar route`: which departments receive what, why, and what other rules would change.

mod tables;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, anyhow};
use mihwar_hub::{Config, RoutingExplanation, RoutingSample, RoutingTrial, RuleSet, RulesToday};
use mihwar_model::{Clock, InstanceName, SystemClock, Time};
use mihwar_server::read_record;
use mihwar_server::wire::{ProblemView, RoutingTrialInput, RoutingTrialLine};
use serde::Serialize;

use super::load_config;
use crate::args::{Global, RouteTest, RouteTrial};
use crate::client::{Client, segment};
use crate::output::{Outcome, json, json_line, line, one_line};
use tables::TrialBar;

/// Bytes of one record; as much as a line of the API's stream may have.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What became of one line, for programs.
#[derive(Serialize)]
struct Tested {
    /// From 1; empty lines count.
    line: u64,
    #[serde(flatten)]
    told: Told,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Routed(RulesToday),
    Refused { problem: ProblemView },
}

/// The last line for programs.
#[derive(Serialize)]
struct Summary {
    summary: Counts,
}

/// What became of all lines.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    /// Lines that held something.
    pub(super) lines: u64,
    pub(super) refused: u64,
    /// Rules that matched none of them.
    pub(super) never_matched: Vec<String>,
}

/// Routes the records of a file, without a hub.
pub(super) fn test(global: &Global, wanted: &RouteTest) -> anyhow::Result<Outcome> {
    let config = load_config(global, &[])?;
    let other = other_rules(&config, wanted.rules.as_deref())?;
    let rules = other.as_ref().unwrap_or(&config.rules);
    let instance = InstanceName::new(wanted.instance.as_str()).context("--instance")?;
    let file = File::open(&wanted.file).with_context(|| wanted.file.display().to_string())?;
    let mut records = Records::of(BufReader::new(file));
    let (mut counts, mut matched) = (Counts::default(), vec![false; rules.source().routes.len()]);
    while let Some((number, text)) = records.next_line().with_context(|| wanted.file.display().to_string())? {
        let told = routed(rules, &instance, text);
        counts.lines += 1;
        match &told {
            Told::Routed(today) => tables::note(today, &mut matched),
            Told::Refused { .. } => counts.refused += 1,
        }
        let tested = Tested { line: number, told };
        if global.json {
            json_line(&tested)?;
        } else {
            tell(&tested, wanted.short)?;
        }
    }
    let names = rules.source().routes.iter().zip(&matched);
    let never = names
        .filter(|(_, matched)| !**matched)
        .map(|(route, _)| route.name.clone());
    counts.never_matched = never.collect();
    let outcome = Outcome::of(counts.refused == 0);
    if global.json {
        json_line(&Summary { summary: counts })?;
    } else {
        tables::tell_counts(&counts)?;
    }
    Ok(outcome)
}

/// Rules of another file than the configuration, where one is named.
fn other_rules(config: &Config, file: Option<&Path>) -> anyhow::Result<Option<RuleSet>> {
    Ok(file.map(|file| config.rules_of(file)).transpose()?)
}

fn routed(rules: &RuleSet, instance: &InstanceName, text: Result<Vec<u8>, u64>) -> Told {
    let draft = match text {
        Ok(text) => read_record(&text),
        Err(bytes) => Err(too_long(bytes)),
    };
    let draft = match draft {
        Ok(draft) => draft,
        Err(problem) => return Told::Refused { problem },
    };
    match RoutingSample::of(draft, instance.clone(), SystemClock.now()) {
        Ok(sample) => Told::Routed(rules.explain_sample(&sample)),
        // They were read with the same checks.
        Err(problems) => Told::Refused {
            problem: ProblemView {
                detail: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
                ..too_long(0)
            },
        },
    }
}

fn too_long(bytes: u64) -> ProblemView {
    ProblemView {
        kind: "/problems/too-large".to_owned(),
        title: "The record cannot be taken".to_owned(),
        status: 413,
        detail: format!("the line has {bytes} bytes; at most {LINE_BYTES_MAX} are read"),
        errors: Vec::new(),
    }
}

fn tell(tested: &Tested, is_short: bool) -> anyhow::Result<()> {
    match &tested.told {
        Told::Routed(today) => {
            line(one_line(&format!(
                "{:>5}  → {}",
                tested.line,
                tables::departments(&today.departments)
            )))?;
            if is_short {
                Ok(())
            } else {
                tables::tell_rules(&today.rules)
            }
        }
        Told::Refused { problem } => {
            line(one_line(&format!("{:>5}  refused: {}", tested.line, problem.detail)))?;
            let further = problem.errors.iter().filter(|_| problem.errors.len() > 1);
            for error in further {
                line(one_line(&format!("         {}: {}", error.field, error.message)))?;
            }
            Ok(())
        }
    }
}

/// A line's number, and its bytes or, of one that is too long, how many there are.
type NumberedLine = (u64, Result<Vec<u8>, u64>);

/// The lines of a file that hold something, with their numbers. One that is too long is passed over, whatever its length.
struct Records<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Records<R> {
    const fn of(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// The next one.
    fn next_line(&mut self) -> std::io::Result<Option<NumberedLine>> {
        loop {
            let mut text = Vec::new();
            let mut bytes = self
                .input
                .by_ref()
                .take(LINE_BYTES_MAX + 1)
                .read_until(b'\n', &mut text)? as u64;
            if bytes == 0 {
                return Ok(None);
            }
            self.number += 1;
            if bytes > LINE_BYTES_MAX && text.last() != Some(&b'\n') {
                bytes += self.pass_over()?;
                return Ok(Some((self.number, Err(bytes))));
            }
            if self.number == 1 && text.starts_with(b"\xEF\xBB\xBF") {
                text.drain(..3);
            }
            if !text.trim_ascii().is_empty() {
                return Ok(Some((self.number, Ok(text))));
            }
        }
    }

    /// Leaves away what is left of a line. Answers how long it was.
    fn pass_over(&mut self) -> std::io::Result<u64> {
        let mut passed = 0;
        loop {
            let piece = self.input.fill_buf()?;
            let end = piece.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(piece.len(), |end| end + 1);
            let is_over = end.is_some() || piece.is_empty();
            self.input.consume(taken);
            passed += taken as u64;
            if is_over {
                return Ok(passed);
            }
        }
    }
}

/// Tells why a piece of feedback went where it went.
pub(super) async fn explain(client: &Client, feedback: &str, as_json: bool) -> anyhow::Result<Outcome> {
    let path = format!("/api/v1/feedback/{}/routing", segment(feedback));
    let explained: RoutingExplanation = client.get(&path).await?.json().await?;
    if as_json {
        json(&explained)?;
    } else {
        tables::tell_explanation(&explained)?;
    }
    Ok(Outcome::Done)
}

/// Tries rules on what is stored.
pub(super) async fn attempt(client: &Client, global: &Global, wanted: &RouteTrial) -> anyhow::Result<Outcome> {
    let config = load_config(global, &[])?;
    let other = other_rules(&config, wanted.rules.as_deref())?;
    let rules = other.as_ref().unwrap_or(&config.rules);
    let since = wanted.since.map(|span| SystemClock.now().plus_millis(-span));
    let from: Option<Time> = since.or(wanted.from);
    let input = RoutingTrialInput::of(rules.source(), from, wanted.to);
    let mut lines = client.post("/api/v1/routing:try", &input).await?.lines();
    let bar = TrialBar::new(global.json);
    let trial: RoutingTrial = loop {
        match lines.next().await? {
            Some(RoutingTrialLine::Progress(progress)) => bar.step(progress),
            Some(RoutingTrialLine::Trial(trial)) => break trial,
            Some(RoutingTrialLine::Problem(problem)) => return Err(anyhow!("{}", problem.detail)),
            None => return Err(anyhow!("the trial broke off; ask again")),
        }
    };
    bar.finish();
    if global.json {
        json(&trial)?;
    } else {
        tables::tell_trial(&trial, from)?;
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::{LINE_BYTES_MAX, Records};

    #[test]
    fn lines_are_numbered_and_one_that_is_too_long_costs_only_itself() {
        let long = "ط".repeat(usize::try_from(LINE_BYTES_MAX).unwrap());
        let text = format!("\u{feff}{{\"body\": \"أ\"}}\n\n{long}\nlast");
        let mut records = Records::of(BufReader::with_capacity(7, text.as_bytes()));
        let (number, first) = records.next_line().unwrap().unwrap();
        assert_eq!((number, first), (1, Ok("{\"body\": \"أ\"}\n".into())));
        let (number, second) = records.next_line().unwrap().unwrap();
        assert_eq!((number, second), (3, Err(2 * LINE_BYTES_MAX + 1)));
        let (number, third) = records.next_line().unwrap().unwrap();
        assert_eq!((number, third), (4, Ok(b"last".to_vec())));
        assert!(records.next_line().unwrap().is_none());
    }
}
