//! English and the other languages in Latin letters, and Arabic written with them.

use crate::{
    codes,
    guess::Guess,
    words::{LATIN, Words},
};

/// Other languages than English have no list of small words here, so the trigrams must be surer of them.
const MIN_TRIGRAM_CONFIDENCE: f64 = 0.6;

/// Words that no text in another language is likely to hold.
const ENGLISH_WORDS: [&str; 82] = [
    "the", "are", "were", "been", "and", "but", "not", "with", "this", "that", "it's", "its", "my", "your", "you",
    "our", "they", "their", "i'm", "she", "have", "had", "does", "did", "don't", "didn't", "can't", "could", "would",
    "should", "very", "too", "after", "before", "when", "why", "how", "what", "who", "please", "thanks", "thank",
    "still", "never", "always", "there", "here", "again", "out", "up", "any", "than", "because", "about", "just",
    "only", "from", "be", "it", "want", "need", "get", "got", "great", "good", "bad", "nice", "friendly", "late",
    "slow", "broken", "money", "food", "customer", "delivery", "order", "staff", "nobody", "every", "back", "more",
    "which",
];
/// English words that other languages have too: they support the others and prove nothing.
const SHARED_WORDS: [&str; 30] = [
    "is", "was", "or", "no", "to", "of", "in", "on", "at", "for", "i", "me", "he", "has", "do", "can", "will", "so",
    "we", "an", "a", "as", "if", "all", "service", "time", "app", "by", "us", "am",
];

/// Small English words among the Latin words of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct English {
    /// Words of English alone.
    pub(crate) own: usize,
    /// Words that English shares with others.
    pub(crate) shared: usize,
    /// All Latin words.
    pub(crate) all: usize,
}

impl English {
    /// Counts.
    pub(crate) fn of(words: &Words<'_>) -> Self {
        let mut english = Self::default();
        for word in words.of_script(LATIN) {
            let lower = word.text.to_lowercase().replace('’', "'");
            english.all += 1;
            english.own += usize::from(ENGLISH_WORDS.contains(&lower.as_str()));
            english.shared += usize::from(SHARED_WORDS.contains(&lower.as_str()));
        }
        english
    }
}

/// The language of the Latin words, Arabic in Latin letters aside.
pub(crate) fn guess(words: &Words<'_>, english: English) -> Option<Guess> {
    if english.all == 0 {
        return None;
    }
    let share = ratio(english.own + english.shared, english.all);
    let own_share = ratio(english.own, english.all);
    if english.own >= 2 && share >= 0.35 {
        return Some(Guess {
            language: "en",
            confidence: (share * 1.5).min(1.0),
        });
    }
    let info = whatlang::detect(&words.text_of(LATIN))?;
    let language = codes::bcp47(info.lang());
    if language == "en" {
        // Two that agree are surer than one.
        let bonus = if english.own + english.shared >= 1 { 0.3 } else { 0.0 };
        return Some(Guess {
            language,
            confidence: (info.confidence() + bonus).min(1.0),
        });
    }
    if english.own >= 2 && own_share >= 0.2 {
        return Some(Guess {
            language: "en",
            confidence: (own_share * 1.5).min(1.0),
        });
    }
    let is_sure = info.confidence() >= MIN_TRIGRAM_CONFIDENCE && english.own == 0;
    Some(Guess {
        language,
        confidence: if is_sure { info.confidence() } else { 0.0 },
    })
}

/// A part of a whole; 0 when there is no whole.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    let as_float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 {
        0.0
    } else {
        as_float(part) / as_float(whole)
    }
}
