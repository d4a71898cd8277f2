//! Masking: labels in the place of what spans cover.

use std::collections::{BTreeMap, BTreeSet};

use mihwar_model::{Draft, Tag};
use mihwar_sandbox::contract::processor::Span;

use super::shown;
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
    let mut seen = Kept::default();
    texts::visit(draft, fields, &mut |place, text| {
        let Some((masked, labels)) = is_worth_it(text).then(|| kept.next()).flatten() else {
            return;
        };
        if place == Place::Shown {
            seen = (masked, labels);
            return;
        }
        *text = masked;
        for label in labels {
            *all.entry(label.clone()).or_insert(0) += 1;
            match place {
                Place::Body => *in_body.entry(label).or_insert(0) += 1,
                Place::Html => *in_html.entry(label).or_insert(0) += 1,
                Place::Shown | Place::Other => {}
            }
        }
    });
    // Mark-up may hide from the redactor what it shows to readers: `4111<b>1111</b>`.
    let is_hidden = |(label, count): (&Tag, &u32)| in_html.get(label).is_none_or(|shown| shown < count);
    if in_body.iter().any(is_hidden) || draft.body_html.as_deref().is_some_and(|html| hides(html, &seen)) {
        draft.body_html = None;
    }
    all
}

/// Whether mark-up hid something: readers see fewer masks in this masked page than they would in its masked text.
fn hides(page: &str, (seen, labels): &Kept) -> bool {
    if labels.is_empty() {
        return false;
    }
    let page = shown::text(page);
    let labels: BTreeSet<&Tag> = labels.iter().collect();
    labels.into_iter().any(|label| {
        let mask = format!("[{label}]");
        page.matches(&mask).count() < seen.matches(&mask).count()
    })
}

/// A text with labels in the place of what its spans cover, and each label as often as it stands there. None when a span
/// does not lie between two letters of the text, or its label is no slug.
pub(super) fn masked(text: &str, mut spans: Vec<Span>) -> Option<Kept> {
    spans.sort_by_key(|span| (span.start, span.end));
    let (mut kept, mut labels, mut at) = (String::with_capacity(text.len()), Vec::new(), 0);
    for span in spans {
        let (start, end) = (span.start as usize, span.end as usize);
        text.get(start..end).filter(|covered| !covered.is_empty())?;
        let label = label(&span.label)?;
        // One that begins inside the one before goes under its label.
        if start >= at {
            kept.push_str(text.get(at..start)?);
            kept.push_str(&format!("[{label}]"));
            labels.push(label);
        }
        at = at.max(end);
    }
    kept.push_str(text.get(at..)?);
    Some((kept, labels))
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

    fn span(start: u32, end: u32, label: &str) -> Span {
        Span {
            start,
            end,
            label: label.to_owned(),
        }
    }

    fn kept(text: &str, spans: &[Span]) -> Option<String> {
        masked(text, spans.to_vec()).map(|(text, _)| text)
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
        let both = vec![
            ("\n[phone]\n".to_owned(), phone()),
            ("[phone]".to_owned(), phone()),
            ("<p>[phone]</p>".to_owned(), phone()),
        ];
        assert_eq!(mask(&mut draft, fields, both), BTreeMap::from([(phone().remove(0), 2)]));
        assert_eq!(draft.body_html.as_deref(), Some("<p>[phone]</p>"));
        draft.body_html = Some("<p>05<b>01</b></p>".to_owned());
        let one = vec![
            ("\n0501\n".to_owned(), Vec::new()),
            ("[phone]".to_owned(), phone()),
            ("<p>05<b>01</b></p>".to_owned(), Vec::new()),
        ];
        mask(&mut draft, fields, one);
        assert_eq!((draft.body.as_str(), draft.body_html), ("[phone]", None));
    }

    #[test]
    fn a_form_that_says_more_than_the_text_is_held_against_what_it_shows() {
        let fields = GrantedFields::read(&["body".to_owned()]).unwrap();
        let phone = || vec![Tag::new("phone").unwrap()];
        let kept = |html: &str, masked: &str, labels: Vec<Tag>| {
            let mut draft = Draft {
                body: "انظر الصفحة".to_owned(),
                body_html: Some(html.to_owned()),
                ..Draft::new(Channel::new(Tag::new("mail").unwrap()))
            };
            let texts = vec![
                (shown::text(html).replace("0501", "[phone]"), phone()),
                ("انظر الصفحة".to_owned(), Vec::new()),
                (masked.to_owned(), labels),
            ];
            let counts = mask(&mut draft, fields, texts);
            assert!(
                counts.values().sum::<u32>() < 2,
                "what is shown is no text of its own: {counts:?}"
            );
            draft.body_html
        };
        let whole = kept("<p>0501</p>", "<p>[phone]</p>", phone());
        assert_eq!(whole.as_deref(), Some("<p>[phone]</p>"));
        for html in ["<p>05<b>01</b></p>", "<p>05&#48;1</p>"] {
            assert_eq!(kept(html, html, Vec::new()), None, "{html}");
        }
        // A number in an address of the page stands for no number that it shows.
        let linked = "<a href=\"tel:0501\">05<i>01</i></a>";
        assert_eq!(kept(linked, "<a href=\"tel:[phone]\">05<i>01</i></a>", phone()), None);
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
