//! Facets: of what a record can be filtered by, the few bytes that tell whether a look at its head is worth while. A list
//! of something rare goes through these instead of all heads.
//!
//! Each value of a record (its channel, a tag, a step of a score) is a code, a hash of 32 bits. Records lie by their ids
//! in blocks, and a block says for each code which of its records have it. Two values may have the same code, so facets
//! let through too much now and then, never too little: the head decides.

mod anew;
mod block;
mod blocks;
mod places;
#[cfg(test)]
mod tests;

use crate::query::{FeedbackFilter, ScoreFilter};
use crate::rows::Head;

pub(crate) use anew::everything;
pub(crate) use block::Passing;
pub(crate) use blocks::Blocks;
use places::Places;

/// The bytes of a record's id.
type Id = [u8; 16];
/// Stands for a value. Made by [`code`], which never changes: codes are stored.
type Code = u32;

/// Codes of one record. Keeps the row of a block of such records below what the store takes.
const CODES_MAX: usize = 48;
/// The one code of a record that has more: it passes every filter.
const ANYTHING: Code = 0;

// What a value is of. These are stored too.
const CHANNEL: u8 = 1;
const INSTANCE: u8 = 2;
const KIND: u8 = 3;
const LANGUAGE: u8 = 4;
const DESTINATION: u8 = 5;
const TAG: u8 = 6;
/// Of a metric, scores below the first of [`STEPS`]; the numbers from here on are for those from each step on.
const SCORE: u8 = 0x40;

/// Where one step of scores ends and the next begins: fine where the usual scales are, whole tens on those up to 100.
const STEPS: [f64; 20] = [
    0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0,
];

/// FNV-1a over the number of the facet and the bytes of the value.
fn code(facet: u8, value: &str) -> Code {
    let mix = |hash: Code, byte: u8| (hash ^ Code::from(byte)).wrapping_mul(0x0100_0193);
    value.bytes().fold(mix(0x811C_9DC5, facet), mix)
}

/// The step that a score is on: never lower for a higher one.
fn step(value: f64) -> u8 {
    let passed = STEPS.iter().filter(|step| value >= **step).count();
    u8::try_from(passed).unwrap_or(u8::MAX)
}

fn score(metric: &str, step: u8) -> Code {
    code(SCORE + step, metric)
}

/// The codes of a record, ascending.
pub(crate) fn codes(head: &Head) -> Vec<Code> {
    let mut codes = Vec::with_capacity(16);
    codes.push(code(CHANNEL, head.channel.as_str()));
    codes.push(code(INSTANCE, head.instance.as_str()));
    codes.extend(head.kind.map(|kind| code(KIND, kind.as_str())));
    if let Some(language) = &head.language {
        // A filter names a language whole or up to a hyphen.
        let language = language.as_str();
        let shorter = language.match_indices('-').filter_map(|(end, _)| language.get(..end));
        codes.extend(shorter.chain([language]).map(|part| code(LANGUAGE, part)));
    }
    codes.extend(head.destinations.iter().map(|name| code(DESTINATION, name.as_str())));
    codes.extend(head.tags.iter().map(|tag| code(TAG, tag.as_str())));
    codes.extend(head.scores.iter().map(|found| score(&found.metric, step(found.value))));
    codes.sort_unstable();
    codes.dedup();
    if codes.len() > CODES_MAX {
        return vec![ANYTHING];
    }
    codes
}

/// What a filter wants, as far as facets can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Of each of these, one code at least.
    each: Vec<Vec<Code>>,
}

impl Wanted {
    /// `None` for a filter that names nothing that facets know.
    pub(crate) fn of(filter: &FeedbackFilter) -> Option<Self> {
        let one = |facet: u8, value: &str| vec![code(facet, value)];
        let each = [
            filter.channel.as_ref().map(|channel| one(CHANNEL, channel.as_str())),
            filter.instance.as_ref().map(|name| one(INSTANCE, name.as_str())),
            filter.kind.map(|kind| one(KIND, kind.as_str())),
            filter
                .language
                .as_ref()
                .map(|language| one(LANGUAGE, language.as_str())),
            filter.destination.as_ref().map(|name| one(DESTINATION, name.as_str())),
            filter.tag.as_ref().map(|tag| one(TAG, tag.as_str())),
            filter.score.as_ref().map(steps),
        ];
        let each: Vec<Vec<Code>> = each.into_iter().flatten().collect();
        (!each.is_empty()).then_some(Self { each })
    }

    /// Where in a block, whose codes ascend, a record may be wanted.
    fn passing(&self, having: &[(Code, Places)]) -> Places {
        let places = |code: &Code| {
            let found = having.binary_search_by_key(code, |(code, _)| *code).ok();
            found
                .and_then(|at| having.get(at))
                .map(|(_, places)| *places)
                .unwrap_or_default()
        };
        let any = |codes: &Vec<Code>| codes.iter().map(places).fold(Places::default(), Places::or);
        let passing = self.each.iter().map(any).reduce(Places::and).unwrap_or_default();
        passing.or(places(&ANYTHING))
    }
}

/// The codes of every step that a wanted score may be on.
fn steps(wanted: &ScoreFilter) -> Vec<Code> {
    let first = step(wanted.min.unwrap_or(f64::NEG_INFINITY));
    let last = step(wanted.max.unwrap_or(f64::INFINITY));
    (first..=last).map(|step| score(&wanted.metric, step)).collect()
}
