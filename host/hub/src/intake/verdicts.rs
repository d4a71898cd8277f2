//! Texts on their way to whoever masks and back: what there is to look at, what was said of it, and what is kept then.

use std::collections::BTreeMap;

use mihwar_sandbox::CallFailure;
use mihwar_sandbox::contract::processor::{Edit, Span, Verdict};

use super::masking::{Cover, Kept, covers, covers_in_source, is_worth_it, masked};
use super::shown::{self, Parts, Shown};

/// A text on its way to a redactor and back. It is no item yet: the payload of one draft may hold a million short texts.
pub(super) struct Text {
    /// Which arrival it belongs to.
    pub(super) of: usize,
    pub(super) text: String,
    /// Of what readers see of the text before it: where in that it stands.
    shown: Option<Box<Parts>>,
    pub(super) answer: Option<Result<Vec<Span>, String>>,
}

impl Text {
    /// What there is to look at of a text: itself, and what readers see of it where that is something else. Mark-up may take
    /// apart in any field what they see in one piece.
    pub(super) fn all(of: usize, text: &str) -> Vec<Self> {
        if !is_worth_it(text) {
            return Vec::new();
        }
        let as_it_stands = Self {
            of,
            text: text.to_owned(),
            shown: None,
            answer: None,
        };
        let shown = shown::of(text).filter(|shown| is_worth_it(&shown.text));
        let as_shown = shown.map(|Shown { text, parts }| Self {
            of,
            text,
            shown: Some(Box::new(parts)),
            answer: None,
        });
        std::iter::once(as_it_stands).chain(as_shown).collect()
    }

    /// What is covered in it, or the code of why that is not known. A text without a verdict was not looked at.
    fn covers(&mut self) -> Result<Vec<Cover>, String> {
        let answer = self.answer.take().unwrap_or_else(|| Err("no-verdict".to_owned()));
        covers(&self.text, answer?).ok_or_else(|| "edit-refused".to_owned())
    }
}

/// What is kept of the texts of an arrival, or the code of why that is not known.
pub(super) fn kept(texts: impl Iterator<Item = Text>) -> Result<Vec<Kept>, String> {
    let (mut texts, mut all) = (texts.peekable(), Vec::new());
    while let Some(mut text) = texts.next() {
        let mut found = text.covers()?;
        if let Some(mut seen) = texts.next_if(|next| next.shown.is_some()) {
            let more = seen.covers()?;
            if let Some(parts) = &seen.shown {
                found.extend(covers_in_source(parts, more));
            }
        }
        all.push(masked(&text.text, found));
    }
    Ok(all)
}

/// Gives each text its verdict; the first of them had this number.
pub(super) fn take(first: usize, texts: &mut [Text], verdicts: Vec<Verdict>) {
    let mut by_id: BTreeMap<String, Result<Vec<Span>, String>> = BTreeMap::new();
    for verdict in verdicts {
        let (id, answer) = match verdict {
            Verdict::Edited(edits) => (edits.id, Ok(edits.edits)),
            Verdict::Failed((id, error)) => (id, Err(CallFailure::Plugin(error).code().to_owned())),
        };
        let known = by_id.entry(id).or_insert_with(|| Ok(Vec::new()));
        match (known, answer) {
            (Ok(spans), Ok(edits)) => spans.extend(edits.into_iter().filter_map(span)),
            (known, Err(code)) => *known = Err(code),
            (Err(_), Ok(_)) => {}
        }
    }
    for (number, text) in (first..).zip(texts) {
        text.answer = by_id.remove(&number.to_string());
    }
}

/// What does not mask is left to enrichers that run afterwards.
fn span(edit: Edit) -> Option<Span> {
    match edit {
        Edit::Redact(span) => Some(span),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn of_a_million_short_texts_each_takes_little_room() {
        assert!(size_of::<Text>() <= 80, "{}", size_of::<Text>());
    }
}
