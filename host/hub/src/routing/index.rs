//! Which rules may have something to say about a record. A rule is left out only where a condition that it cannot do without
//! is not met, and then it would answer no: whatever else stands in it, failures too, is outweighed by that.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::AhoCorasick;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

use super::predicate::{Predicate, TextTest};
use super::seen::{ListOf, Seen, TextOf};

/// Shorter pieces of text stand in most records, and tell nothing.
const PHRASE_BYTES_MIN: usize = 3;
/// Pieces that one rule may be found by.
const PHRASES_OF_A_RULE_MAX: usize = 256;
/// Pieces that all rules may be found by, in one text. Rules beyond that are looked at for every record.
const PHRASES_MAX: usize = 50_000;

/// Numbers of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules(Box<[u64]>);

impl Rules {
    fn none(of: usize) -> Self {
        Self(vec![0; of.div_ceil(64)].into_boxed_slice())
    }

    fn add(&mut self, rule: usize) {
        if let Some(word) = self.0.get_mut(rule / 64) {
            *word |= 1 << (rule % 64);
        }
    }

    fn add_all(&mut self, others: &Self) {
        for (word, other) in self.0.iter_mut().zip(&others.0) {
            *word |= other;
        }
    }

    /// From the first to the last.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate();
        words.flat_map(|(number, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                left &= left - 1;
                Some(number * 64 + bit)
            })
        })
    }
}

/// A condition of which a record has several at most, and by which rules are found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// A text is this one.
    Is(TextOf, String),
    /// It has this tag.
    Tag(String),
    /// A piece of text stands in a text.
    Phrase(TextOf, Vec<u8>),
}

impl Key {
    /// How little it tells: about how many of a hundred records meet it.
    const fn weight(&self) -> usize {
        match self {
            Self::Phrase(..) | Self::Tag(_) => 2,
            Self::Is(TextOf::Instance | TextOf::Channel, _) => 10,
            Self::Is(..) => 20,
        }
    }
}

/// Rules by the conditions that they cannot do without.
#[derive(Debug)]
pub(super) struct Index {
    /// Those that have none.
    always: Rules,
    texts: BTreeMap<TextOf, HashMap<String, Rules>>,
    tags: HashMap<String, Rules>,
    phrases: Vec<Phrases>,
}

/// Pieces of one text.
#[derive(Debug)]
struct Phrases {
    of: TextOf,
    finder: AhoCorasick,
    /// By the finder's numbers.
    rules: Vec<Rules>,
}

impl Index {
    pub(super) fn of<'p>(rules: impl ExactSizeIterator<Item = &'p Predicate>) -> Self {
        let count = rules.len();
        let mut index = Self {
            always: Rules::none(count),
            texts: BTreeMap::new(),
            tags: HashMap::new(),
            phrases: Vec::new(),
        };
        let none = || Rules::none(count);
        let mut phrases: BTreeMap<TextOf, BTreeMap<Vec<u8>, Rules>> = BTreeMap::new();
        for (rule, predicate) in rules.enumerate() {
            let Some(keys) = needed(predicate) else {
                index.always.add(rule);
                continue;
            };
            for key in keys {
                let found = match key {
                    Key::Is(of, text) => index.texts.entry(of).or_default().entry(text).or_insert_with(none),
                    Key::Tag(tag) => index.tags.entry(tag).or_insert_with(none),
                    Key::Phrase(of, phrase) => phrases.entry(of).or_default().entry(phrase).or_insert_with(none),
                };
                found.add(rule);
            }
        }
        for (of, found) in phrases {
            match Phrases::of(of, found) {
                Ok(found) => index.phrases.push(found),
                Err(rules) => rules.iter().for_each(|rules| index.always.add_all(rules)),
            }
        }
        index
    }

    /// Rules that may answer something else than no.
    pub(super) fn candidates(&self, seen: &Seen<'_>) -> Rules {
        let mut rules = self.always.clone();
        for (of, by_text) in &self.texts {
            if let Some(found) = by_text.get(seen.text(*of)) {
                rules.add_all(found);
            }
        }
        if !self.tags.is_empty() {
            let found = seen.list(ListOf::Tags).filter_map(|tag| self.tags.get(tag));
            found.for_each(|found| rules.add_all(found));
        }
        for Phrases {
            of,
            finder,
            rules: by_phrase,
        } in &self.phrases
        {
            for found in finder.find_overlapping_iter(seen.text(*of)) {
                if let Some(found) = by_phrase.get(found.pattern().as_usize()) {
                    rules.add_all(found);
                }
            }
        }
        rules
    }
}

impl Phrases {
    /// What finds these pieces. Where there are too many, it answers whose they are.
    fn of(of: TextOf, phrases: BTreeMap<Vec<u8>, Rules>) -> Result<Self, Vec<Rules>> {
        let (patterns, rules): (Vec<_>, Vec<_>) = phrases.into_iter().unzip();
        if patterns.len() > PHRASES_MAX {
            return Err(rules);
        }
        match AhoCorasick::new(&patterns) {
            Ok(finder) => Ok(Self { of, finder, rules }),
            Err(_) => Err(rules),
        }
    }
}

/// Conditions of which one at least must be met, or the predicate answers no; `None` where nothing is known to be needed.
fn needed(predicate: &Predicate) -> Option<Vec<Key>> {
    match predicate {
        Predicate::Constant(false) => Some(Vec::new()),
        Predicate::Both(parts) => {
            let found = [needed(&parts.0), needed(&parts.1)];
            let weight = |keys: &Vec<Key>| keys.iter().map(Key::weight).sum::<usize>();
            found.into_iter().flatten().min_by_key(weight)
        }
        Predicate::Either(parts) => {
            let mut keys = needed(&parts.0)?;
            keys.extend(needed(&parts.1)?);
            Some(keys).filter(|keys| keys.len() <= PHRASES_OF_A_RULE_MAX)
        }
        Predicate::Text(of, test) => needed_of_text(*of, test),
        Predicate::Any(ListOf::Tags, TextTest::Equals(tag), false) => Some(vec![Key::Tag(tag.clone())]),
        Predicate::Any(ListOf::Tags, TextTest::OneOf(tags), false) => few(tags.iter().cloned().map(Key::Tag)),
        Predicate::Constant(true)
        | Predicate::Not(_)
        | Predicate::Any(..)
        | Predicate::Number(..)
        | Predicate::Fact(..)
        | Predicate::Has(_)
        | Predicate::Interpreted(_) => None,
    }
}

fn needed_of_text(of: TextOf, test: &TextTest) -> Option<Vec<Key>> {
    match (of, test) {
        (TextOf::Instance | TextOf::Channel | TextOf::Kind | TextOf::Language, TextTest::Equals(text)) => {
            Some(vec![Key::Is(of, text.clone())])
        }
        (TextOf::Instance | TextOf::Channel | TextOf::Kind | TextOf::Language, TextTest::OneOf(texts)) => {
            few(texts.iter().map(|text| Key::Is(of, text.clone())))
        }
        (TextOf::Subject | TextOf::Body | TextOf::Joined(_), test) => {
            let pieces = match test {
                TextTest::Equals(text)
                | TextTest::Contains(text)
                | TextTest::StartsWith(text)
                | TextTest::EndsWith(text) => vec![text.clone().into_bytes()],
                TextTest::OneOf(texts) => texts.iter().map(|text| text.clone().into_bytes()).collect(),
                TextTest::Matches(pattern) => literals(pattern.as_str())?,
                TextTest::Listed(_) => return None,
            };
            let is_telling = |piece: &Vec<u8>| piece.len() >= PHRASE_BYTES_MIN;
            if !pieces.iter().all(is_telling) {
                return None;
            }
            few(pieces.into_iter().map(|piece| Key::Phrase(of, piece)))
        }
        _ => None,
    }
}

fn few(keys: impl Iterator<Item = Key>) -> Option<Vec<Key>> {
    let keys: Vec<Key> = keys.take(PHRASES_OF_A_RULE_MAX + 1).collect();
    Some(keys).filter(|keys| keys.len() <= PHRASES_OF_A_RULE_MAX)
}

/// Pieces of which one at least stands in every text that a pattern matches.
fn literals(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let parsed = regex_syntax::parse(pattern).ok()?;
    [ExtractKind::Prefix, ExtractKind::Suffix].into_iter().find_map(|kind| {
        let mut found = Extractor::new().kind(kind).extract(&parsed);
        found.dedup();
        let pieces: Vec<Vec<u8>> = found.literals()?.iter().map(|one| one.as_bytes().to_vec()).collect();
        let are_telling = pieces.iter().all(|piece| piece.len() >= PHRASE_BYTES_MIN);
        are_telling.then_some(pieces)
    })
}
