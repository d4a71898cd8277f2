//! From groups of records to figures, by a module; what it hands over is looked at before anybody believes it.

use std::sync::Arc;

use mihwar_ledger::{FigureDefinition, FigureGroup, FigureInterval, FigurePart};
use mihwar_sandbox::Instance;
use mihwar_sandbox::contract::figure::{Definition, Interval, Outcome, Part};
use tokio::sync::mpsc;

use super::FigureRefusal;
use super::earlier::Changed;
use super::facts::batches;
use super::selection::{Group, Selected};
use crate::walk::StageProgress;

/// Longest slug: an id, a part's name, a method.
const SLUG_BYTES: usize = 64;
/// Longest number.
const DECIMAL_BYTES: usize = 40;
/// Most parts of a figure.
const PARTS: usize = 64;
/// Letters of a definition's sentence, and of a unit.
const STATEMENT_LETTERS: usize = 500;
const UNIT_LETTERS: usize = 32;

/// What a module made of a selection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) definition: FigureDefinition,
    pub(super) groups: Vec<FigureGroup>,
}

/// Makes the figure of every group, each in an instance of its own.
pub(super) async fn measure(
    instance: &Instance,
    selected: Selected,
    listener: &mpsc::Sender<StageProgress>,
) -> Result<Measured, FigureRefusal> {
    let Selected { names, groups, .. } = selected;
    let (names, total) = (Arc::new(names), groups.len() as u64);
    let mut definition: Option<FigureDefinition> = None;
    let mut figures = Vec::with_capacity(groups.len());
    for Group { name, records, changed } in groups {
        tell(listener, "making figures", figures.len() as u64, total);
        let count = records.len() as u64;
        let done = instance.measure(batches(records, &names)).await;
        let (said, outcome) = done.map_err(|error| FigureRefusal::Call(Box::new(error)))?.value;
        let said = checked_definition(said)?;
        if definition.as_ref().is_some_and(|earlier| *earlier != said) {
            return Err(no_figure(
                "it computes one thing for one group and another for the next",
            ));
        }
        definition = Some(said);
        figures.push(checked_figure(name, count, changed, outcome)?);
    }
    let definition = definition.ok_or_else(|| no_figure("there is no group"))?;
    Ok(Measured {
        definition,
        groups: figures,
    })
}

/// Says how far it is; whoever listens may lag behind.
pub(super) fn tell(listener: &mpsc::Sender<StageProgress>, stage: &str, done: u64, total: u64) {
    drop(listener.try_send(StageProgress {
        stage: stage.to_owned(),
        done,
        total,
    }));
}

fn no_figure(why: impl Into<String>) -> FigureRefusal {
    FigureRefusal::NoFigure(why.into())
}

fn checked_definition(said: Definition) -> Result<FigureDefinition, FigureRefusal> {
    Ok(FigureDefinition {
        id: slug("the definition's id", said.id)?,
        version: slug("the definition's version", said.version)?,
        statement: sentence("the definition's statement", said.statement, STATEMENT_LETTERS)?,
        unit: sentence("the definition's unit", said.unit, UNIT_LETTERS)?,
    })
}

fn checked_figure(
    name: String,
    records: u64,
    changed: Changed,
    outcome: Outcome,
) -> Result<FigureGroup, FigureRefusal> {
    if outcome.parts.len() > PARTS {
        let count = outcome.parts.len();
        return Err(no_figure(format!("{count} parts, but a figure has at most {PARTS}")));
    }
    let parts: Result<Vec<FigurePart>, FigureRefusal> = outcome.parts.into_iter().map(checked_part).collect();
    Ok(FigureGroup {
        name,
        records,
        n: outcome.n,
        revised: changed.revised,
        moved: changed.moved,
        value: outcome.value.map(|value| decimal("the value", value)).transpose()?,
        interval: outcome.interval.map(checked_interval).transpose()?,
        parts: parts?,
    })
}

fn checked_part(part: Part) -> Result<FigurePart, FigureRefusal> {
    Ok(FigurePart {
        name: slug("a part's name", part.name)?,
        value: decimal("a part", part.value)?,
    })
}

fn checked_interval(interval: Interval) -> Result<FigureInterval, FigureRefusal> {
    Ok(FigureInterval {
        low: decimal("the interval", interval.low)?,
        high: decimal("the interval", interval.high)?,
        level: decimal("the interval's level", interval.level)?,
        method: slug("the interval's method", interval.method)?,
    })
}

fn slug(what: &str, text: String) -> Result<String, FigureRefusal> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if (1..=SLUG_BYTES).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text);
    }
    Err(no_figure(format!(
        "{what} is no slug of 1 to {SLUG_BYTES} letters a-z, digits, \"-\" and \".\""
    )))
}

fn decimal(what: &str, text: String) -> Result<String, FigureRefusal> {
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let mut halves = digits.splitn(2, '.');
    let all_digits = |half: &str| !half.is_empty() && half.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() <= DECIMAL_BYTES && halves.all(all_digits) {
        return Ok(text);
    }
    Err(no_figure(format!("{what} is no decimal number")))
}

fn sentence(what: &str, text: String, letters_max: usize) -> Result<String, FigureRefusal> {
    let letters = text.chars().count();
    if (1..=letters_max).contains(&letters) && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(no_figure(format!(
        "{what} is not 1 to {letters_max} letters on one line"
    )))
}

#[cfg(test)]
mod tests {
    use super::{decimal, sentence, slug};

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        for good in ["0", "-12.345", "100.000", "007"] {
            assert_eq!(decimal("value", good.to_owned()).unwrap(), good);
        }
        let long = "1".repeat(41);
        for bad in [
            "",
            "-",
            ".5",
            "5.",
            "1.2.3",
            "1e9",
            "NaN",
            "٣٠",
            "+1",
            " 1",
            long.as_str(),
        ] {
            assert!(decimal("value", bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_sentences_stay_within_their_bounds() {
        assert!(slug("name", "answers-5".into()).is_ok() && slug("id", "2.0".into()).is_ok());
        for bad in ["", "مروّجون", "Promoters", "a b"] {
            assert!(slug("name", bad.to_owned()).is_err(), "{bad}");
        }
        assert!(sentence("unit", "نقاط".into(), 4).is_ok());
        assert!(sentence("unit", "نقاط".into(), 3).is_err() && sentence("unit", "a\nb".into(), 9).is_err());
    }
}
