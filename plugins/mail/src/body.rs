//! Which parts of a mail are its text.

use crate::{
    charset::{self, Fallback},
    html,
    mime::{Leaf, Tree},
    text,
};

/// The text of a mail.
#[derive(Default)]
pub(crate) struct Body {
    /// Plain text; quoted replies and signatures are kept.
    pub(crate) text: String,
    /// The first HTML part, as the sender wrote it.
    pub(crate) html: Option<String>,
    /// Every character set was known and fitted its bytes.
    pub(crate) certain: bool,
}

/// Takes the plain text of each part; HTML where nothing says the same plainly.
pub(crate) fn read(tree: &Tree<'_>, fallback: Fallback) -> Body {
    let mut body = Body {
        certain: true,
        ..Body::default()
    };
    let mut texts: Vec<String> = Vec::new();
    let shown: Vec<Shown<'_, '_>> = tree
        .leaves
        .iter()
        .filter(|leaf| !leaf.is_attachment)
        .map(|leaf| decoded(leaf, fallback))
        .collect();
    for part in &shown {
        body.certain &= part.certain;
        if part.leaf.media_type != "text/html" {
            texts.push(text::clean_lines(&part.text));
            continue;
        }
        if body.html.is_none() {
            body.html = Some(text::clean_lines(&part.text));
        }
        let said_plainly = part.leaf.alternative.is_some()
            && shown.iter().any(|other| {
                other.leaf.alternative == part.leaf.alternative
                    && other.leaf.media_type != "text/html"
                    && !other.text.trim().is_empty()
            });
        if !said_plainly {
            texts.push(text::clean_lines(&html::to_text(&part.text)));
        }
    }
    texts.retain(|text| !text.trim().is_empty());
    body.text = texts
        .iter()
        .map(|text| text.trim_start_matches('\n').trim_end())
        .collect::<Vec<_>>()
        .join("\n\n");
    if body.text.is_empty() {
        use_instead(&mut body, tree, fallback);
    }
    body
}

struct Shown<'t, 'a> {
    leaf: &'t Leaf<'a>,
    text: String,
    certain: bool,
}

fn decoded<'t, 'a>(leaf: &'t Leaf<'a>, fallback: Fallback) -> Shown<'t, 'a> {
    let named_inside = if leaf.media_type == "text/html" {
        html::charset(&leaf.bytes)
    } else {
        None
    };
    let declared = leaf.charset.as_deref().or(named_inside);
    let reading = charset::decode(&leaf.bytes, declared, fallback);
    Shown {
        leaf,
        text: reading.text,
        certain: reading.certain,
    }
}

/// A mail that only forwards another one, or that was cut for its nesting, shows the beginning of that.
fn use_instead(body: &mut Body, tree: &Tree<'_>, fallback: Fallback) {
    const MAX_BYTES: usize = 64 << 10;
    let candidate = tree
        .leaves
        .iter()
        .find(|leaf| leaf.media_type == "message/rfc822" || (tree.cut && leaf.name.as_deref() == Some("nested.mime")));
    if let Some(leaf) = candidate {
        let start = leaf.bytes.get(..leaf.bytes.len().min(MAX_BYTES)).unwrap_or_default();
        let reading = charset::decode(start, leaf.charset.as_deref(), fallback);
        body.certain &= reading.certain;
        body.text = text::clean_lines(reading.text.trim());
    }
}

#[cfg(test)]
mod tests {
    use crate::fields::Fields;

    use super::*;

    fn body(mail: &[u8]) -> Body {
        let (fields, rest) = Fields::split(mail);
        read(&Tree::read(&fields, rest, Fallback::Guess), Fallback::Guess)
    }

    #[test]
    fn plain_text_wins_over_its_html_form() {
        let mail = "Content-Type: multipart/alternative; boundary=a\n\n--a\n\nالنص\n> اقتباس\n-- \nسارة\n--a\n\
            Content-Type: text/html\n\n<b>النص</b>\n--a--\n";
        let body = body(mail.as_bytes());
        assert_eq!(body.text, "النص\n> اقتباس\n-- \nسارة");
        assert_eq!(body.html.as_deref(), Some("<b>النص</b>"));
    }

    #[test]
    fn html_speaks_when_the_plain_form_is_empty() {
        let mail = "Content-Type: multipart/alternative; boundary=a\n\n--a\n\n \n--a\nContent-Type: text/html; charset=utf-8\n\n\
            <p>تأخر الطلب</p>\n--a--\n";
        assert_eq!(body(mail.as_bytes()).text, "تأخر الطلب");
    }

    #[test]
    fn several_text_parts_are_joined() {
        let mail = "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nfirst\n--a\nContent-Type: text/html\n\n<i>second</i>\n--a--";
        assert_eq!(body(mail.as_bytes()).text, "first\n\nsecond");
    }

    #[test]
    fn a_mail_that_is_only_forwarded_shows_what_it_forwards() {
        let mail = "Content-Type: message/rfc822\n\nSubject: شكوى\n\nالطلب لم يصل";
        assert_eq!(body(mail.as_bytes()).text, "Subject: شكوى\n\nالطلب لم يصل");
    }

    #[test]
    fn a_page_names_its_own_character_set() {
        let body =
            body(b"Content-Type: text/html\n\n<meta charset=windows-1256><p>\xe3\xd1\xcd\xc8\xc7 marhaba marhaba");
        assert_eq!(
            (body.text.as_str(), body.certain),
            ("\u{645}\u{631}\u{62d}\u{628}\u{627} marhaba marhaba", true)
        );
    }

    #[test]
    fn an_unknown_character_set_is_reported_and_read() {
        let body = body(b"Content-Type: text/plain; charset=x-klingon\n\n\xe3\xd1\xcd\xc8\xc7");
        assert_eq!((body.text.as_str(), body.certain), ("مرحبا", false));
    }
}
