//! Addresses for electronic mail, in Latin letters and in others.

use std::ops::Range;

use crate::line::Line;

/// Most letters before the `@`.
const LOCAL_MAX: usize = 64;
/// Most letters behind the `@`.
const DOMAIN_MAX: usize = 253;

/// Endings of names of files, which look like domains: `logo@2x.png`.
const FILES: [&str; 12] = [
    "png", "jpg", "jpeg", "gif", "svg", "webp", "pdf", "js", "ts", "css", "html", "json",
];

/// Where addresses stand.
pub(crate) fn find(line: &Line) -> Vec<Range<usize>> {
    let signs = (0..line.len()).filter(|place| line.free(*place) == Some('@'));
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in signs {
        let behind = found.last().map_or(0, |last| last.end);
        if let (Some(start), Some(end)) = (local(line, at, behind), domain(line, at + 1)) {
            found.push(start..end);
        }
    }
    found
}

/// Where the part before the `@` begins, not before `earliest`.
fn local(line: &Line, at: usize, earliest: usize) -> Option<usize> {
    let is_latin = is_latin(line, at, earliest);
    let fits = |sign: &char| belongs(*sign) && (!is_latin || sign.is_ascii());
    let places = (earliest..at).rev().take(LOCAL_MAX);
    let start = places
        .take_while(|place| line.free(*place).filter(fits).is_some())
        .last()?;
    // Neither a full stop nor a quotation mark begins an address.
    (start..at).find(|place| line.sign(*place).is_some_and(char::is_alphanumeric))
}

/// Whether the part before the `@` is of Latin letters only: in Arabic a word may stand right before an address, as in
/// `إلىsara@example.com`. Digits are of either script, as their domain is.
fn is_latin(line: &Line, at: usize, earliest: usize) -> bool {
    let places = (earliest..at).rev().take(LOCAL_MAX);
    let mut signs = places.map_while(|place| line.free(place).filter(|sign| belongs(*sign)));
    let nearest = signs.find(|sign| sign.is_alphabetic());
    let is_ascii = |sign: Option<char>| sign.is_some_and(|sign| sign.is_ascii());
    nearest.is_none_or(|letter| letter.is_ascii()) || (is_ascii(line.free_before(at)) && is_ascii(line.free(at + 1)))
}

/// Whether a letter or sign may stand in the part before the `@`.
fn belongs(sign: char) -> bool {
    sign.is_alphanumeric() || matches!(sign, '.' | '_' | '%' | '+' | '-' | '\'')
}

/// The end of a domain that begins here: two names or more with dots between, the last of letters only.
fn domain(line: &Line, start: usize) -> Option<usize> {
    let (mut end, mut names, mut name) = (None, 0_usize, start..start);
    for place in start..=start + DOMAIN_MAX {
        let sign = line.free(place);
        if let Some(letter) = sign
            && (letter.is_alphanumeric() || letter == '-')
        {
            name.end = place + 1;
            continue;
        }
        if name.is_empty() {
            break;
        }
        names += 1;
        if names > 1 && is_top(line, &name) {
            end = Some(name.end);
        }
        if sign != Some('.') {
            break;
        }
        name = place + 1..place + 1;
    }
    end
}

/// Whether a domain may end so; `xn--` is how mail programs write an ending in other letters.
fn is_top(line: &Line, name: &Range<usize>) -> bool {
    let text = line.text(name);
    text.strip_prefix("xn--").is_some_and(|coded| !coded.is_empty()) || is_word(&text)
}

fn is_word(text: &str) -> bool {
    text.chars().count() > 1 && text.chars().all(char::is_alphabetic) && !FILES.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut line = Line::default();
        line.read(text, 0);
        find(&line).iter().map(|range| line.text(range)).collect()
    }

    #[test]
    fn addresses_are_found_in_every_script() {
        for (text, address) in [
            ("راسلوني على sara@example.com.", "sara@example.com"),
            (
                "إلىsara.ali+1@mail.example.co.uk، شكراً",
                "sara.ali+1@mail.example.co.uk",
            ),
            ("<Huda@Example.COM>", "huda@example.com"),
            ("سارة@مثال.السعودية", "سارة@مثال.السعودية"),
            ("mailto:a_b@example.org?subject=x", "a_b@example.org"),
            ("sara\u{200f}@\u{200e}example.com", "sara@example.com"),
            ("sara٩٩@example.com", "sara99@example.com"),
            ("'o'neil@example.com'", "o'neil@example.com"),
            ("سارة.علي٩٩@مثال.السعودية", "سارة.علي99@مثال.السعودية"),
            ("إلى99@example.com", "99@example.com"),
            ("sara@mail.xn--mgberp4a5d4ar", "sara@mail.xn--mgberp4a5d4ar"),
            (
                "info@xn--mgbh0fb.xn--mgberp4a5d4ar.",
                "info@xn--mgbh0fb.xn--mgberp4a5d4ar",
            ),
        ] {
            assert_eq!(found(text), [address], "{text}");
        }
        assert_eq!(found("a@example.com,b@example.com").len(), 2);
    }

    #[test]
    fn what_only_looks_like_one_is_left() {
        for text in [
            "@sara_ali",
            "lib@1.2.3",
            "logo@2x.png",
            "sara@localhost",
            "a @ b.com",
            "@",
            "سعر@الكيلو",
            "2@3.5",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
