//! Which rules fire for a record and why the others do not, in the words of the rules.

use cel::Value;
use cel::common::ast::{Expr, IdedExpr, SelectExpr, operators};
use serde::{Deserialize, Serialize};

use super::compiling::path;
use super::failure::{Failure, words};
use super::reading::parts;
use super::seen::{Seen, Subject};
use super::source::Matching;
use super::story::ChosenDepartment;
use super::{Rule, RuleSet, spans};

/// Characters of a rule's part that are told.
const PART_CHARS_MAX: usize = 160;
/// Characters of a text of a record that are told. Subject and body are never quoted.
const TEXT_CHARS_MAX: usize = 40;
/// Values that are told beside a part.
const VALUES_MAX: usize = 4;
/// Elements of a list that are told.
const ELEMENTS_MAX: usize = 8;

/// What a rule says to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It matches.
    Matched,
    /// It does not.
    NotMatched,
    /// It has no answer, and so chooses nobody.
    Failed,
    /// An earlier rule had matched, and the first one decides.
    NotReached,
}

/// What one rule says to a record, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleVerdict {
    /// The rule's name.
    pub rule: String,
    /// The departments that it chooses where it matches.
    pub to: Vec<String>,
    /// What it says.
    pub verdict: Verdict,
    /// The part of the rule that decided, with the values in it. Quotes neither subject nor body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A rule that failed on a record when it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFailed {
    /// The rule's name.
    pub rule: String,
    /// Short, stable reason.
    pub code: String,
    /// The same for people.
    pub reason: String,
}

impl RuleFailed {
    pub(super) fn of(rule: String, code: String) -> Self {
        Self {
            reason: words(&code).to_owned(),
            rule,
            code,
        }
    }
}

/// What a rule set makes of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesToday {
    /// `all` rules that match add their departments, or only the `first`.
    pub matching: String,
    /// Every rule, in their order.
    pub rules: Vec<RuleVerdict>,
    /// Who receives it, and why.
    pub departments: Vec<ChosenDepartment>,
}

type Outcome = Result<bool, Failure>;

/// Asks every rule of a set, and each that was asked for its reason.
pub(super) fn explain(rules: &RuleSet, subject: Subject<'_>) -> RulesToday {
    let seen = rules.seen(subject);
    let (mut verdicts, mut matched) = (Vec::with_capacity(rules.rules.len()), Vec::new());
    for (index, (rule, route)) in rules.rules.iter().zip(&rules.source.routes).enumerate() {
        let is_over = rules.source.matching == Matching::First && !matched.is_empty();
        let outcome = (!is_over).then(|| rule.predicate.holds(&seen));
        if outcome == Some(Ok(true)) {
            matched.push(index);
        }
        verdicts.push(RuleVerdict {
            rule: route.name.clone(),
            to: route.to.iter().map(ToString::to_string).collect(),
            verdict: match outcome {
                None => Verdict::NotReached,
                Some(Ok(true)) => Verdict::Matched,
                Some(Ok(false)) => Verdict::NotMatched,
                Some(Err(_)) => Verdict::Failed,
            },
            because: outcome.map(|outcome| because(rule, &seen, outcome)),
        });
    }
    let chosen = rules.chosen(&matched, subject.asked).into_iter();
    RulesToday {
        matching: rules.source.matching.as_str().to_owned(),
        rules: verdicts,
        departments: chosen.map(ChosenDepartment::from).collect(),
    }
}

/// The part that decided, what it came to, and the values in it.
fn because(rule: &Rule, seen: &Seen<'_>, outcome: Outcome) -> String {
    let (part, outcome) = decisive(rule.program.expression(), outcome, seen);
    let told = match outcome {
        Ok(true) => "is true".to_owned(),
        Ok(false) => "is false".to_owned(),
        Err(failure) => format!("failed: {}", failure.words()),
    };
    let values = values(part, seen);
    let part = excerpt(spans::snippet(&rule.program, part), PART_CHARS_MAX);
    if values.is_empty() {
        format!("{part} {told}")
    } else {
        format!("{part} {told}: {}", values.join(", "))
    }
}

/// Goes down to the smallest part that settles the outcome of the whole.
fn decisive<'p>(part: &'p IdedExpr, outcome: Outcome, seen: &Seen<'_>) -> (&'p IdedExpr, Outcome) {
    let Expr::Call(call) = &part.expr else {
        return (part, outcome);
    };
    // Of `&&` one part that is false settles it, of `||` one that is true; any part that fails may have made the whole fail.
    let settles = match call.func_name.as_str() {
        operators::LOGICAL_AND if outcome != Ok(true) => outcome,
        operators::LOGICAL_OR if outcome != Ok(false) => outcome,
        operators::LOGICAL_NOT => outcome.map(|answer| !answer),
        _ => return (part, outcome),
    };
    let inner = call.args.iter().map(|inner| (inner, seen.interpreted(inner)));
    let inner: Vec<_> = inner.collect();
    let same = inner.iter().find(|(_, found)| *found == settles);
    let alike = || inner.iter().find(|(_, found)| found.is_err() && settles.is_err());
    match same.or_else(alike).copied() {
        Some((inner, found)) => decisive(inner, found, seen),
        None => (part, outcome),
    }
}

/// What of the record a part asks, and what stands there.
fn values(part: &IdedExpr, seen: &Seen<'_>) -> Vec<String> {
    let mut asked: Vec<(Vec<&str>, IdedExpr)> = Vec::new();
    gather(part, &mut asked);
    let told = asked.iter().take(VALUES_MAX);
    told.map(|(path, part)| value(path, seen.value(part))).collect()
}

/// Finds what is asked of the record, each once, in the order in which it stands there.
fn gather<'p>(part: &'p IdedExpr, found: &mut Vec<(Vec<&'p str>, IdedExpr)>) {
    let whole = match &part.expr {
        Expr::Select(select) if select.test => path(&select.operand).map(|mut path| {
            path.push(select.field.as_str());
            let asked = SelectExpr {
                test: false,
                ..select.clone()
            };
            let asked = IdedExpr {
                id: part.id,
                expr: Expr::Select(asked),
            };
            (path, asked)
        }),
        _ => path(part).map(|path| (path, part.clone())),
    };
    match whole {
        Some((path, asked)) if matches!(path.as_slice(), ["record" | "contact" | "department", _, ..]) => {
            if !found.iter().any(|(known, _)| *known == path) {
                found.push((path, asked));
            }
        }
        // A named list is long, and everybody can look into it.
        Some(_) => {}
        None => parts(&part.expr).into_iter().for_each(|inner| gather(inner, found)),
    }
}

fn value(path: &[&str], found: Result<Value, Failure>) -> String {
    let name = match path {
        ["record", rest @ ..] => rest.join("."),
        whole => whole.join("."),
    };
    match (path, found) {
        (_, Err(Failure::Missing)) => format!("{name} is not there"),
        (_, Err(failure)) => format!("{name}: {}", failure.words()),
        (["record", "subject" | "body"], Ok(Value::String(text))) => {
            format!("{name} has {} letters", text.chars().count())
        }
        (["contact", "identifiers"], Ok(Value::List(handles))) => format!("{name} are {}", handles.len()),
        (_, Ok(value)) => format!("{name} is {}", shown(&value)),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", excerpt(text, TEXT_CHARS_MAX)),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::List(elements) if elements.is_empty() => "an empty list".to_owned(),
        Value::List(elements) => {
            let more = if elements.len() > ELEMENTS_MAX { ", …" } else { "" };
            let told: Vec<String> = elements.iter().take(ELEMENTS_MAX).map(shown).collect();
            format!("[{}{more}]", told.join(", "))
        }
        Value::Map(entries) => format!("a map of {}", entries.map.len()),
        other => format!("a {}", other.type_of()),
    }
}

fn excerpt(text: &str, chars_max: usize) -> String {
    let mut short: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = short.char_indices().nth(chars_max) {
        short.truncate(end);
        short.push('…');
    }
    short
}
