//! Masking: labels in the place of what spans cover.

use std::collections::BTreeMap;
use std::ops::Range;

use mihwar_model::{Draft, Tag};
use mihwar_sandbox::contract::processor::Span;

use super::shown::Parts;
use super::texts::{self, Place};
use crate::convert::GrantedFields;

/// Longest label, in letters.
const LABEL_MAX: usize = 48;

/// Nothing can be found in blanks.
pub(super) fn is_worth_it(text: &str) -> bool {
    !text.trim().is_empty()
}

/// A text as it is kept, and what was masked in it.
pub(super) type Kept = (String, Vec<Tag>);

/// Puts masked texts in the place of those of a draft. Answers how often what was masked.
pub(super) fn mask(draft: &mut Draft, fields: GrantedFields, kept: Vec<Kept>) -> BTreeMap<Tag, u32> {
    let mut kept = kept.into_iter();
    let (mut all, mut in_body, mut in_html) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    texts::visit(draft, fields, &mut |place, text| {
        let Some((masked, labels)) = is_worth_it(text).then(|| kept.next()).flatten() else {
            return;
        };
        *text = masked;
        for label in labels {
            *all.entry(label.clone()).or_insert(0) += 1;
            match place {
                Place::Body => *in_body.entry(label).or_insert(0) += 1,
                Place::Html => *in_html.entry(label).or_insert(0) += 1,
                Place::Other => {}
            }
        }
    });
    // A page may say it in a way that only a person can read: in a picture, or with letters that its style moves.
    let is_hidden = |(label, count): (&Tag, &u32)| in_html.get(label).is_none_or(|shown| shown < count);
    if in_body.iter().any(is_hidden) {
        draft.body_html = None;
    }
    let labels: Vec<&Tag> = all.keys().collect();
    texts::shorten(draft, fields, &labels);
    all
}

/// A part of a text that is not kept.
pub(super) struct Cover {
    range: Range<usize>,
    /// What stands in its place; nothing where it goes on with what another one covers.
    label: Option<Tag>,
}

/// What spans cover. None when one of them does not lie between two letters of the text, or its label is no slug.
pub(super) fn covers(text: &str, spans: Vec<Span>) -> Option<Vec<Cover>> {
    let cover = |span: Span| {
        let range = span.start as usize..span.end as usize;
        text.get(range.clone()).filter(|covered| !covered.is_empty())?;
        let label = Some(label(&span.label)?);
        Some(Cover { range, label })
    };
    spans.into_iter().map(cover).collect()
}

/// The same in the source, of covers in what readers see of it. The tags between stay as they are.
pub(super) fn covers_in_source(parts: &Parts, shown: Vec<Cover>) -> Vec<Cover> {
    let mut covers = Vec::with_capacity(shown.len());
    for Cover { range, mut label } in shown {
        for range in parts.sources(&range) {
            let label = label.take();
            covers.push(Cover { range, label });
        }
    }
    covers
}

/// A text with labels in the place of what is covered, and each label as often as it stands there.
pub(super) fn masked(text: &str, mut covers: Vec<Cover>) -> Kept {
    covers.sort_by_key(|cover| (cover.range.start, cover.range.end));
    let (mut kept, mut labels, mut at) = (String::with_capacity(text.len()), Vec::new(), 0);
    for Cover { range, label } in covers {
        // One that begins inside the one before goes under its label.
        if range.start >= at {
            kept.push_str(text.get(at..range.start).unwrap_or_default());
            if let Some(label) = label {
                kept.push_str(&format!("[{label}]"));
                labels.push(label);
            }
        }
        at = at.max(range.end);
    }
    kept.push_str(text.get(at..).unwrap_or_default());
    (kept, labels)
}

/// A label that may stand in the ledger.
fn label(text: &str) -> Option<Tag> {
    let slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=LABEL_MAX).contains(&text.len()) && text.bytes().all(slug);
    Tag::new(text).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use mihwar_model::{Channel, Tag};
    use mihwar_sandbox::contract::processor::Span;
    use proptest::prelude::*;

    use super::*;
    use crate::intake::shown::{self, Shown};

    fn span(start: u32, end: u32, label: &str) -> Span {
        Span {
            start,
            end,
            label: label.to_owned(),
        }
    }

    fn kept(text: &str, spans: &[Span]) -> Option<String> {
        Some(masked(text, covers(text, spans.to_vec())?).0)
    }

    /// A page in which a redactor found these words, in the source and in what readers see.
    fn page(html: &str, words: &[&str]) -> (String, usize) {
        let find = |text: &str| {
            let found = words.iter().flat_map(|word| text.match_indices(*word));
            let at = |at: usize| u32::try_from(at).unwrap();
            let spans = found.map(|(start, word)| span(at(start), at(start + word.len()), "phone"));
            covers(text, spans.collect()).unwrap()
        };
        let mut all = find(html);
        if let Some(Shown { text, parts }) = shown::of(html) {
            all.extend(covers_in_source(&parts, find(&text)));
        }
        let (kept, labels) = masked(html, all);
        (kept, labels.len())
    }

    #[test]
    fn labels_stand_in_the_place_of_what_is_covered() {
        let text = "رقمي 0501 و 0502";
        let first = u32::try_from(text.find("0501").unwrap()).unwrap();
        let second = u32::try_from(text.find("0502").unwrap()).unwrap();
        let spans = [span(second, second + 4, "phone"), span(first, first + 4, "phone")];
        assert_eq!(kept(text, &spans).unwrap(), "رقمي [phone] و [phone]");
        // Where two overlap, all of both is covered.
        let spans = [span(first, first + 2, "iban"), span(first + 1, first + 4, "phone")];
        assert_eq!(kept(text, &spans).unwrap(), "رقمي [iban] و 0502");
        assert_eq!(kept(text, &[]).unwrap(), text);
    }

    #[test]
    fn what_fits_no_text_and_what_is_no_slug_is_refused() {
        for unfit in [
            span(0, 1, "phone"),
            span(0, 0, "phone"),
            span(4, 2, "phone"),
            span(0, 400, "phone"),
            span(0, 2, ""),
            span(0, 2, "Phone"),
            span(0, 2, "هاتف"),
            span(0, 2, &"a".repeat(49)),
        ] {
            assert_eq!(kept("شكوى", std::slice::from_ref(&unfit)), None, "{unfit:?}");
        }
    }

    #[test]
    fn a_form_that_hides_what_the_text_shows_is_left_out() {
        let fields = GrantedFields::read(&["body".to_owned()]).unwrap();
        let phone = || vec![Tag::new("phone").unwrap()];
        let mut draft = Draft {
            body: "0501".to_owned(),
            body_html: Some("<p>0501</p>".to_owned()),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        };
        let both = vec![("[phone]".to_owned(), phone()), ("<p>[phone]</p>".to_owned(), phone())];
        assert_eq!(mask(&mut draft, fields, both), BTreeMap::from([(phone().remove(0), 2)]));
        assert_eq!(draft.body_html.as_deref(), Some("<p>[phone]</p>"));
        let picture = "<p><img src=\"cid:رقم\"></p>".to_owned();
        draft.body_html = Some(picture.clone());
        let one = vec![("[phone]".to_owned(), phone()), (picture, Vec::new())];
        mask(&mut draft, fields, one);
        assert_eq!((draft.body.as_str(), draft.body_html), ("[phone]", None));
    }

    #[test]
    fn what_mark_up_takes_apart_is_masked_and_the_mark_up_stays() {
        for (html, masked, count) in [
            ("<p>رقمي 0501 هو</p>", "<p>رقمي [phone] هو</p>", 1),
            ("<p>رقمي 05<b>01</b> هو</p>", "<p>رقمي [phone]<b></b> هو</p>", 1),
            ("<b>05</b>01 و 0501", "<b>[phone]</b> و [phone]", 2),
            ("05&#48;1 و 05&zwnj;01", "[phone] و 05&zwnj;01", 1),
            ("<td>05</td><td>01</td>", "<td>05</td><td>01</td>", 0),
            // In an address, and in what is shown of it.
            (
                "<a href=\"tel:0501\">05<i>01</i></a>",
                "<a href=\"tel:[phone]\">[phone]<i></i></a>",
                2,
            ),
            (
                "<a href=\"tel:&#48;501\">اتصل</a>",
                "<a href=\"tel:[phone]\">اتصل</a>",
                1,
            ),
        ] {
            assert_eq!(page(html, &["0501"]), (masked.to_owned(), count), "{html}");
        }
        // Where both see a part of it, all of it goes.
        let both = page("<p>05<b>01</b>", &["0501", "501"]);
        assert_eq!(both, ("<p>[phone]<b></b>".to_owned(), 1));
        let across = page("سر<b>ي</b> 01", &["سري 01", "ي</b> 0"]);
        assert_eq!(across, ("[phone]<b>".to_owned(), 1));
    }

    proptest! {
        /// Nothing of what is covered is kept, and nothing else is lost.
        #[test]
        fn exactly_what_is_covered_goes(letters in prop::collection::vec((any::<char>(), any::<bool>()), 0..40)) {
            let (mut text, mut spans, mut left) = (String::new(), Vec::new(), String::new());
            for (letter, covered) in letters {
                let start = text.len();
                text.push(letter);
                if covered {
                    spans.push(span(u32::try_from(start).unwrap(), u32::try_from(text.len()).unwrap(), "x"));
                    left.push_str("[x]");
                } else {
                    left.push(letter);
                }
            }
            prop_assert_eq!(kept(&text, &spans), Some(left));
        }
    }
}
