//! What is told of routing to people.

use std::cmp::Reverse;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use mihwar_hub::{
    ChosenDepartment, RoutingExplanation, RoutingTrial, RuleTally, RuleVerdict, RulesToday, TrialProgress, Verdict,
};
use mihwar_model::{InstanceName, Time};

use super::Counts;
use crate::output::{line, one_line};
use crate::words::counted;

/// Ways to move that are told; all of them are in the JSON.
const MOVES_TOLD_MAX: usize = 50;
/// Rules that are named in one sentence.
const RULES_NAMED_MAX: usize = 20;

/// Notes which rules matched.
pub(super) fn note(today: &RulesToday, matched: &mut [bool]) {
    for (rule, matched) in today.rules.iter().zip(matched) {
        *matched |= rule.verdict == Verdict::Matched;
    }
}

/// `billing (money), service (default)`.
pub(super) fn departments(chosen: &[ChosenDepartment]) -> String {
    if chosen.is_empty() {
        return "(nobody)".to_owned();
    }
    let chosen = chosen.iter().map(|one| format!("{} ({})", one.department, one.rule));
    chosen.collect::<Vec<_>>().join(", ")
}

/// What each rule says, and why.
pub(super) fn tell_rules(rules: &[RuleVerdict]) -> anyhow::Result<()> {
    let width = rules.iter().map(|rule| rule.rule.chars().count()).max();
    for rule in rules {
        let verdict = match rule.verdict {
            Verdict::Matched => "matched",
            Verdict::NotMatched => "not matched",
            Verdict::Failed => "FAILED",
            Verdict::NotReached => "not reached",
        };
        let because = rule.because.as_deref().unwrap_or("an earlier rule had matched");
        let name = &rule.rule;
        let text = format!(
            "{verdict:<11}  {name:<width$}  {because}",
            width = width.unwrap_or_default()
        );
        line(format_args!("         {}", one_line(&text)))?;
    }
    Ok(())
}

/// How it went altogether.
pub(super) fn tell_counts(counts: &Counts) -> anyhow::Result<()> {
    line(format_args!(
        "{}: {} routed, {} refused",
        counted(counts.lines, "record", "records"),
        counts.lines - counts.refused,
        counts.refused
    ))?;
    tell_never(&counts.never_matched)
}

fn tell_never(rules: &[String]) -> anyhow::Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = rules.iter().take(RULES_NAMED_MAX).map(String::as_str).collect();
    let more = match rules.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    line(one_line(&format!(
        "rules that matched none: {}{more}",
        named.join(", ")
    )))
}

/// The decision as it was taken, and what would be decided today.
pub(super) fn tell_explanation(explained: &RoutingExplanation) -> anyhow::Result<()> {
    let RoutingExplanation {
        feedback,
        revision,
        decided,
        rules,
        ..
    } = explained;
    line(format_args!("feedback {feedback}, revision {revision}"))?;
    match decided {
        None => line("It waits to be routed.")?,
        Some(decided) => {
            let of = if decided.revision == *revision {
                String::new()
            } else {
                format!(" of revision {}", decided.revision)
            };
            line(one_line(&format!(
                "Decided{of} {} by rules {} (entry {}): → {}",
                decided.at,
                decided.rules,
                decided.entry,
                departments(&decided.departments)
            )))?;
            for failed in &decided.failed {
                line(one_line(&format!("  rule {} failed: {}", failed.rule, failed.reason)))?;
            }
        }
    }
    if explained.rules_changed {
        line(format_args!("The rules have changed since: now they are {rules}."))?;
    } else if decided.is_some() {
        line("The rules have not changed since.")?;
    }
    if let Some(reason) = &explained.not_today {
        return line(one_line(&format!("Today's rules cannot be asked: {reason}.")));
    }
    let Some(today) = &explained.today else {
        return Ok(());
    };
    line(one_line(&format!("Today: → {}", departments(&today.departments))))?;
    if today.matching == "first" {
        line("The first rule that matches decides:")?;
    } else {
        line("Every rule that matches adds its departments:")?;
    }
    tell_rules(&today.rules)?;
    for asked in &explained.asked {
        line(one_line(&format!(
            "         {} asked for {}",
            asked.rule, asked.department
        )))?;
    }
    Ok(())
}

/// What other rules would change.
pub(super) fn tell_trial(trial: &RoutingTrial, from: Option<Time>) -> anyhow::Result<()> {
    let since = from.map(|from| format!(" since {from}")).unwrap_or_default();
    line(format_args!(
        "{}{since}: {} would go elsewhere, {} where they went",
        counted(trial.records, "record", "records"),
        trial.moved,
        trial.same
    ))?;
    let compared = trial.moved + trial.same;
    if !trial.moves.is_empty() {
        line("   count    share  from → to (for example)")?;
    }
    for one in trial.moves.iter().take(MOVES_TOLD_MAX) {
        let examples: Vec<String> = one.examples.iter().map(ToString::to_string).collect();
        let text = format!(
            "{:>8}  {:>7}  {} → {}  ({})",
            one.count,
            share(one.count, compared),
            names(&one.from),
            names(&one.to),
            examples.join(", ")
        );
        line(one_line(&text))?;
    }
    let untold = trial
        .moves
        .iter()
        .skip(MOVES_TOLD_MAX)
        .map(|one| one.count)
        .sum::<u64>()
        + trial.in_other_moves;
    if untold > 0 {
        line(format_args!(
            "  … and {} in other ways; --json tells more",
            counted(untold, "record", "records")
        ))?;
    }
    let silent = trial.rules.iter().filter(|rule| rule.matched == 0);
    let silent: Vec<String> = silent.map(|rule| rule.rule.clone()).collect();
    tell_never(&silent)?;
    tell_failing(&trial.rules)?;
    tell_left_out(trial)
}

fn tell_failing(rules: &[RuleTally]) -> anyhow::Result<()> {
    let mut failing: Vec<_> = rules.iter().filter(|rule| rule.failed > 0).collect();
    failing.sort_by_key(|rule| Reverse(rule.failed));
    for rule in failing.into_iter().take(RULES_NAMED_MAX) {
        line(one_line(&format!(
            "rule {} failed on {}; mihwar route explain tells why",
            rule.rule,
            counted(rule.failed, "record", "records")
        )))?;
    }
    Ok(())
}

fn tell_left_out(trial: &RoutingTrial) -> anyhow::Result<()> {
    let left_out = [
        (trial.gone, "withdrawn or erased"),
        (trial.quarantined, "in quarantine"),
        (trial.waiting, "not routed yet"),
        (trial.damaged, "damaged: see mihwar ledger verify"),
    ];
    let left_out = left_out.into_iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = left_out.map(|(count, why)| format!("{count} {why}")).collect();
    if told.is_empty() {
        return Ok(());
    }
    line(format_args!("not compared: {}", told.join(", ")))
}

fn names(departments: &[InstanceName]) -> String {
    if departments.is_empty() {
        return "(nobody)".to_owned();
    }
    let names: Vec<&str> = departments.iter().map(InstanceName::as_str).collect();
    names.join(", ")
}

/// A share in percent, to a tenth.
fn share(part: u64, whole: u64) -> String {
    let tenths = part.saturating_mul(1_000) / whole.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A bar on a terminal; nothing elsewhere.
pub(super) struct TrialBar(Option<ProgressBar>);

impl TrialBar {
    pub(super) fn new(as_json: bool) -> Self {
        let is_shown = !as_json && std::io::stderr().is_terminal();
        Self(is_shown.then(|| {
            let template = "trying rules  {bar:30} {percent:>3} %  {msg}  {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        }))
    }

    pub(super) fn step(&self, progress: TrialProgress) {
        if let Some(bar) = &self.0 {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(counted(progress.records, "record", "records"));
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use mihwar_hub::ChosenDepartment;

    use super::{departments, share};

    #[test]
    fn shares_and_departments_are_told_in_full() {
        assert_eq!(
            (share(1, 3), share(0, 0), share(7, 7)),
            ("33.3 %".into(), "0.0 %".into(), "100.0 %".into())
        );
        let chosen = |department: &str, rule: &str| ChosenDepartment {
            department: department.into(),
            rule: rule.into(),
            delivery: None,
        };
        let both = [chosen("billing", "فواتير"), chosen("service", "default")];
        assert_eq!(departments(&both), "billing (فواتير), service (default)");
        assert_eq!(departments(&[]), "(nobody)");
    }
}
