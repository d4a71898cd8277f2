//! International bank account numbers (ISO 13616): country, two check digits, as many letters and digits as the country has.

use std::ops::Range;

use crate::line::Line;

/// Most signs between two letters of one number.
const GAP_MAX: usize = 2;

/// How long the numbers of each country are.
const LENGTHS: [(&str, usize); 83] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VG", 24),
    ("XK", 20),
];

/// Where account numbers stand.
pub(crate) fn find(line: &Line) -> Vec<Range<usize>> {
    let (mut found, mut place): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    while place < line.len() {
        match end(line, place) {
            Some(end) => {
                found.push(place..end);
                place = end;
            }
            None => place += 1,
        }
    }
    found
}

/// The end of the number that begins here.
fn end(line: &Line, start: usize) -> Option<usize> {
    if !line.free(start)?.is_ascii_alphabetic() {
        return None;
    }
    let (mut number, mut length, mut gap, mut place) = (String::new(), usize::MAX, 0, start);
    while number.len() < length {
        let sign = line.free(place)?.to_ascii_uppercase();
        let fits = match number.len() {
            0 | 1 => sign.is_ascii_uppercase(),
            2 | 3 => sign.is_ascii_digit(),
            _ => sign.is_ascii_alphanumeric(),
        };
        if fits {
            number.push(sign);
            gap = 0;
        } else if number.len() != 1 && gap < GAP_MAX && matches!(sign, ' ' | '-') {
            gap += 1;
        } else {
            return None;
        }
        if number.len() == 2 && length == usize::MAX {
            length = length_in(&number)?;
        }
        place += 1;
    }
    let is_alone = line.stands_alone(&(start..place)) || is_named(line, start, place);
    (is_alone && is_checked(&number)).then_some(place)
}

/// Whether the word stands right before the number, as in `IBANSA03…`.
fn is_named(line: &Line, start: usize, end: usize) -> bool {
    let name = start.checked_sub(4);
    name.is_some_and(|name| line.text(&(name..start)) == "iban" && line.stands_alone(&(name..end)))
}

fn length_in(country: &str) -> Option<usize> {
    let known = LENGTHS.binary_search_by_key(&country, |(code, _)| *code).ok()?;
    LENGTHS.get(known).map(|(_, length)| *length)
}

/// Whether the check digits fit: country and check digits behind the rest, letters as 10 to 35, the remainder by 97 is 1.
fn is_checked(number: &str) -> bool {
    let (head, rest) = number.split_at_checked(4).unwrap_or_default();
    let remainder = rest.chars().chain(head.chars()).try_fold(0_u32, |remainder, sign| {
        let value = sign.to_digit(36)?;
        let shift = if value < 10 { 10 } else { 100 };
        Some((remainder * shift + value) % 97)
    });
    remainder == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut line = Line::default();
        line.read(text, 0);
        find(&line).iter().map(|range| line.code(range)).collect()
    }

    #[test]
    fn account_numbers_are_found_however_they_are_written() {
        for text in [
            "SA0380000000608010167519",
            "SA03 8000 0000 6080 1016 7519",
            "sa03-8000-0000-6080-1016-7519",
            "SA٠٣ ٨٠٠٠ ٠٠٠٠ ٦٠٨٠ ١٠١٦ ٧٥١٩",
            "\u{200e}SA۰۳۸۰۰۰۰۰۰۰۶۰۸۰۱۰۱۶۷۵۱۹\u{200f}",
            "ＳＡ０３8000 0000 6080\u{a0}1016 7519",
        ] {
            assert_eq!(found(&format!("حسابي {text}.")), ["SA0380000000608010167519"], "{text}");
        }
        for text in [
            "AE070331234567890123456",
            "GB29NWBK60161331926819",
            "DE89370400440532013000",
            "EG380019000500000000263180002",
            "NO9386011117947",
        ] {
            assert_eq!(found(text), [text]);
        }
        assert_eq!(found("IBANSA0380000000608010167519"), ["SA0380000000608010167519"]);
    }

    #[test]
    fn what_only_looks_like_one_is_left() {
        for text in [
            "SA0480000000608010167519",
            "SA03 8000 0000 6080 1016 751",
            "SA03800000006080101675191",
            "XSA0380000000608010167519",
            "XIBANSA0380000000608010167519",
            "ZZ0380000000608010167519",
            "SA",
            "Sahara is dry, and so is Saudi Arabia 2030",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn countries_stand_in_order() {
        assert!(LENGTHS.is_sorted_by_key(|(code, _)| *code));
        assert!(LENGTHS.iter().all(|(_, length)| (15..=34).contains(length)));
    }
}
