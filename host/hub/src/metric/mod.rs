//! Figures with a receipt. Which records count, and how they are grouped, is decided by one fold over the ledger's entries
//! ([`selection`], and [`earlier`] for what records were before), whether a hub makes the figure ([`run`]) or a stranger makes
//! it again ([`check`]); the same module gets the same facts ([`facts`], [`measuring`]).

mod check;
mod earlier;
mod facts;
mod measuring;
mod run;
mod selection;
#[cfg(test)]
mod tests;

use mihwar_ledger::MAX_FIGURE_GROUPS;
use mihwar_model::Time;
use mihwar_sandbox::CallError;
use thiserror::Error;

use crate::fault::Fault;

pub use check::{CheckedFigure, FigureMismatch, check_figure};
pub use selection::{FigureFilter, FigureGrouping};

/// Why a figure is not made.
#[derive(Debug, Error)]
pub enum FigureRefusal {
    /// There is no such metric.
    #[error("there is no metric \"{name}\" here; {known}")]
    NoMetric {
        /// What was asked for.
        name: String,
        /// Which there are, in words.
        known: String,
    },
    /// The period holds no moment.
    #[error("the period holds nothing: it begins at {from}, which is not before its end, {to}")]
    Period {
        /// Its beginning.
        from: Time,
        /// Its end.
        to: Time,
    },
    /// More groups than a receipt may have.
    #[error(
        "the period has {groups} groups, and a figure has at most {most}; take a shorter period, or group otherwise",
        most = MAX_FIGURE_GROUPS
    )]
    TooManyGroups {
        /// So many.
        groups: usize,
    },
    /// An entry of the ledger says nothing.
    #[error("entry {index} of the ledger cannot be read: {detail}")]
    Entry {
        /// Which.
        index: u64,
        /// Why.
        detail: String,
    },
    /// The plugin failed.
    #[error("the metric's plugin failed: {error}{words}", error = .0, words = last_words(.0))]
    Call(Box<CallError>),
    /// What the plugin handed over is no figure.
    #[error("the metric's plugin handed over no figure: {0}")]
    NoFigure(String),
    /// Something at rest failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Letters of what a plugin wrote before it broke off that are told.
const LAST_WORDS: usize = 500;

/// What a plugin wrote to its standard error: it has no other way to say why it panicked, and knows nothing but facts.
fn last_words(error: &CallError) -> String {
    let words: Vec<&str> = error.stderr.split_whitespace().collect();
    if words.is_empty() {
        return String::new();
    }
    let words: String = words.join(" ").chars().take(LAST_WORDS).collect();
    format!("; it wrote: {words}")
}
