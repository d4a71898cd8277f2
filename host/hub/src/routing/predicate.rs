//! Rules in a form that asks the record itself: the comparisons that most rules are made of. What is none of them is left to
//! the interpreter, part by part, and what it would answer or fail with is what these answer or fail with.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use regex::Regex;

use cel::IdedExpr;

use super::failure::Failure;
use super::seen::{Fact, FactOf, ListOf, Seen, TextOf};

/// A rule, or a part of one.
#[derive(Debug)]
pub(super) enum Predicate {
    Constant(bool),
    Not(Box<Self>),
    Both(Box<(Self, Self)>),
    Either(Box<(Self, Self)>),
    Text(TextOf, TextTest),
    /// One element of a list at least is such; or, if that is turned round, is not.
    Any(ListOf, TextTest, bool),
    Number(NumberOf, Order, Number),
    Fact(FactOf, FactTest),
    /// Whether there is such a value.
    Has(Presence),
    Interpreted(Box<IdedExpr>),
}

/// What is asked of a text.
#[derive(Debug, Clone)]
pub(super) enum TextTest {
    Equals(String),
    OneOf(Vec<String>),
    /// Is in a named list.
    Listed(Arc<HashSet<String>>),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Matches(Regex),
}

/// What is asked of a value whose type shows only when it is there.
#[derive(Debug)]
pub(super) enum FactTest {
    /// It is true.
    True,
    Equals(Written),
    Compares(Order, Number),
    /// It is a text, and one of these.
    Among(TextTest),
    /// It is such a text; anything else fails.
    Text(TextTest),
}

/// A value that stands in a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written {
    Bool(bool),
    Number(Number),
    Text(String),
}

/// A number of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NumberOf {
    Score(String),
    Sentiment,
    Attachments,
    Revision,
    ReceivedAt,
    /// Letters of a text.
    Letters(TextOf),
    /// Elements of a list.
    Elements(ListOf),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Double(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Something that a record may have or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    Score(String),
    Sentiment,
    Fact(FactOf),
}

impl Predicate {
    /// What it answers for a record.
    ///
    /// # Errors
    /// It has no answer, just as the interpreter would have none.
    pub(super) fn holds(&self, seen: &Seen<'_>) -> Result<bool, Failure> {
        match self {
            Self::Constant(answer) => Ok(*answer),
            Self::Not(part) => match part.holds(seen) {
                Err(Failure::NotBoolean) => Err(Failure::Type),
                answer => answer.map(|answer| !answer),
            },
            Self::Both(parts) => connected(parts, false, seen),
            Self::Either(parts) => connected(parts, true, seen),
            Self::Text(of, test) => Ok(test.holds(seen.text(*of))),
            Self::Any(of, test, turned) => Ok(seen.list(*of).any(|text| test.holds(text) != *turned)),
            Self::Number(of, order, to) => order.holds(of.of(seen)?.compared(*to)),
            Self::Fact(of, test) => test.holds(seen.fact(of).ok_or(Failure::Missing)?),
            Self::Has(what) => Ok(what.is_there(seen)),
            Self::Interpreted(part) => seen.interpreted(part),
        }
    }
}

/// `&&` and `||`, of which `false` and `true` decide whatever stands beside them, failures too.
fn connected((left, right): &(Predicate, Predicate), decides: bool, seen: &Seen<'_>) -> Result<bool, Failure> {
    let left = left.holds(seen);
    if left == Ok(decides) {
        return left;
    }
    match (left, right.holds(seen)) {
        (Ok(_), Ok(right)) => Ok(right),
        (Err(_), Ok(right)) if right == decides => Ok(right),
        (Err(Failure::NotBoolean), Ok(_)) | (Ok(_) | Err(Failure::NotBoolean), Err(Failure::NotBoolean)) => {
            Err(Failure::Type)
        }
        (Err(failure), Ok(_) | Err(Failure::NotBoolean)) | (_, Err(failure)) => Err(failure),
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Equals(other) => text == other,
            Self::OneOf(others) => others.iter().any(|other| text == other),
            Self::Listed(list) => list.contains(text),
            Self::Contains(other) => text.contains(other.as_str()),
            Self::StartsWith(other) => text.starts_with(other.as_str()),
            Self::EndsWith(other) => text.ends_with(other.as_str()),
            Self::Matches(pattern) => pattern.is_match(text),
        }
    }
}

impl FactTest {
    fn holds(&self, fact: Fact<'_>) -> Result<bool, Failure> {
        match (self, fact) {
            (Self::True, Fact::Bool(answer)) => Ok(answer),
            (Self::True, _) => Err(Failure::NotBoolean),
            (Self::Equals(written), fact) => Ok(written.equals(fact)),
            (Self::Compares(order, to), Fact::Int(number)) => order.holds(Number::Int(number).compared(*to)),
            (Self::Compares(order, to), Fact::Double(number)) => order.holds(Number::Double(number).compared(*to)),
            (Self::Among(test) | Self::Text(test), Fact::Text(text)) => Ok(test.holds(text)),
            (Self::Among(_), _) => Ok(false),
            (Self::Compares(..) | Self::Text(_), _) => Err(Failure::Type),
        }
    }
}

impl Written {
    fn equals(&self, fact: Fact<'_>) -> bool {
        let equal = |number: Number, other: Number| number.compared(other) == Some(Ordering::Equal);
        match (self, fact) {
            (Self::Bool(written), Fact::Bool(other)) => *written == other,
            (Self::Text(written), Fact::Text(other)) => written == other,
            (Self::Number(written), Fact::Int(other)) => equal(Number::Int(other), *written),
            (Self::Number(written), Fact::Double(other)) => equal(Number::Double(other), *written),
            _ => false,
        }
    }
}

impl NumberOf {
    fn of(&self, seen: &Seen<'_>) -> Result<Number, Failure> {
        let head = seen.head();
        match self {
            Self::Score(metric) => seen.score(metric).map(Number::Double).ok_or(Failure::Missing),
            Self::Sentiment => head.sentiment.map(Number::Double).ok_or(Failure::Missing),
            Self::Attachments => Ok(Number::Int(i64::from(head.attachments))),
            Self::Revision => Ok(Number::Int(i64::from(head.revision))),
            Self::ReceivedAt => Ok(Number::Int(head.received_at.0)),
            Self::Letters(of) => Ok(Number::counted(seen.text(*of).chars().count())),
            Self::Elements(of) => Ok(Number::counted(seen.list(*of).count())),
        }
    }
}

impl Number {
    fn counted(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// As CEL compares numbers: whole ones exactly, others as fractions.
    fn compared(self, to: Self) -> Option<Ordering> {
        match (self, to) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.fraction().partial_cmp(&b.fraction()),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "it is how CEL compares a whole number with a fraction"
    )]
    const fn fraction(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Double(number) => number,
        }
    }
}

impl Order {
    /// The order of two numbers that change places.
    pub(super) const fn turned(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
        }
    }

    fn holds(self, found: Option<Ordering>) -> Result<bool, Failure> {
        match (self, found) {
            (Self::Equal, found) => Ok(found == Some(Ordering::Equal)),
            // Something that is no number has no order.
            (_, None) => Err(Failure::Type),
            (Self::Less, Some(found)) => Ok(found.is_lt()),
            (Self::LessEqual, Some(found)) => Ok(found.is_le()),
            (Self::Greater, Some(found)) => Ok(found.is_gt()),
            (Self::GreaterEqual, Some(found)) => Ok(found.is_ge()),
        }
    }
}

impl Presence {
    fn is_there(&self, seen: &Seen<'_>) -> bool {
        match self {
            Self::Score(metric) => seen.score(metric).is_some(),
            Self::Sentiment => seen.head().sentiment.is_some(),
            Self::Fact(of) => seen.fact(of).is_some(),
        }
    }
}
