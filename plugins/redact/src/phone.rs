//! Telephone numbers: Saudi ones as they are dialled at home, and those of any country with `+`, `00`, or a code of the
//! region before them.

use std::ops::{Range, RangeInclusive};

use crate::context::{self, Said};
use crate::line::Line;
use crate::numbers::{Group, digits, extent, groups};

/// Most groups of one number.
const GROUPS_MAX: usize = 8;
/// Most digits of one number, with the `00` of a foreign call.
const DIGITS_MAX: usize = 17;

/// How many digits follow the code of a country, in the region and where many customers come from.
static COUNTRIES: [(&str, RangeInclusive<usize>); 42] = [
    ("1", 10..=10),
    ("7", 10..=10),
    ("20", 9..=10),
    ("27", 9..=9),
    ("30", 10..=10),
    ("31", 9..=9),
    ("33", 9..=9),
    ("34", 9..=9),
    ("39", 8..=11),
    ("44", 9..=10),
    ("49", 7..=12),
    ("60", 8..=10),
    ("61", 9..=9),
    ("62", 8..=12),
    ("63", 8..=10),
    ("86", 10..=11),
    ("90", 10..=10),
    ("91", 10..=10),
    ("92", 9..=10),
    ("94", 9..=9),
    ("98", 10..=10),
    ("211", 9..=9),
    ("212", 9..=9),
    ("213", 8..=9),
    ("216", 8..=8),
    ("218", 8..=9),
    ("249", 9..=9),
    ("880", 8..=10),
    ("961", 7..=8),
    ("962", 8..=9),
    ("963", 8..=9),
    ("964", 8..=10),
    ("965", 8..=8),
    ("966", 9..=9),
    ("967", 7..=9),
    ("968", 8..=8),
    ("970", 8..=9),
    ("971", 8..=9),
    ("972", 8..=9),
    ("973", 8..=8),
    ("974", 8..=8),
    ("977", 8..=10),
];
/// How many digits there are for every other country, its code among them.
const ELSEWHERE: RangeInclusive<usize> = 8..=14;

/// Beginnings of numbers of the region that people write without `+`: the code, the first digits after it, and how many
/// digits there are in all.
static REGION: [(&str, &[u8], usize); 8] = [
    ("966", &[1, 5], 12),
    ("971", &[5], 12),
    ("965", &[5, 6, 9], 11),
    ("973", &[3, 6], 11),
    ("974", &[3, 5, 6, 7], 11),
    ("968", &[7, 9], 11),
    ("962", &[7], 12),
    ("20", &[1], 12),
];

/// Where telephone numbers stand.
pub(crate) fn find(line: &Line) -> Vec<Range<usize>> {
    let all = groups(line);
    let (mut found, mut first) = (Vec::new(), 0);
    while first < all.len() {
        match longest(line, &all, first) {
            Some((start, past)) => {
                found.push(start..extent(&all[first..past]).end);
                first = past;
            }
            None => first += 1,
        }
    }
    found
}

/// Where the longest number begins whose first digits are this group, and the group behind it.
fn longest(line: &Line, all: &[Group], first: usize) -> Option<(usize, usize)> {
    let plus = plus_before(line, all[first].range.start);
    let (mut count, mut longest) = (0, None);
    for (place, group) in all.iter().enumerate().skip(first).take(GROUPS_MAX) {
        let is_joined = matches!(group.joint, Some(' ' | '-' | '.' | '(' | ')' | '/'));
        count += group.len();
        if (place > first && !is_joined) || count > DIGITS_MAX {
            break;
        }
        let part = &all[first..=place];
        if is_phone(line, part, plus) {
            longest = Some((plus.unwrap_or(part[0].range.start), place + 1));
        }
    }
    longest
}

/// The `+` before a number, if it belongs to nothing else.
fn plus_before(line: &Line, start: usize) -> Option<usize> {
    let blanks = (1..=2).take_while(|far| {
        let sign = start.checked_sub(*far).and_then(|place| line.free(place));
        matches!(sign, Some(' ' | '('))
    });
    let plus = start.checked_sub(blanks.count() + 1)?;
    let is_alone = !line
        .free_before(plus)
        .is_some_and(|sign| sign.is_ascii_alphanumeric() || sign == '+');
    (line.free(plus) == Some('+') && is_alone).then_some(plus)
}

fn is_phone(line: &Line, part: &[Group], plus: Option<usize>) -> bool {
    let (range, number) = (extent(part), digits(line, part));
    if !line.stands_alone(&range) || line.is_part(&range) {
        return false;
    }
    if plus.is_some() {
        return is_international(&number);
    }
    if let [0, 0, abroad @ ..] = number.as_slice() {
        return is_international(abroad) && context::before(line, range.start) != Some(Said::Thing);
    }
    if !is_written_so(part) || line.free_before(range.start) == Some('#') {
        return false;
    }
    match context::before(line, range.start) {
        Some(Said::Phone) => is_domestic(&number) || is_regional(&number) || is_without_zero(&number),
        Some(Said::Thing) => is_mobile(&number) && is_written_as_mobile(part),
        _ => (is_domestic(&number) || is_regional(&number)) && !context::is_amount(line, range.start, range.end),
    }
}

/// Whether the digits behind `+` or `00` are a number that can be called: nine after 966, and so on.
fn is_international(number: &[u8]) -> bool {
    let known = COUNTRIES
        .iter()
        .find_map(|(code, lengths)| Some((after(number, code)?, lengths)));
    let Some((national, lengths)) = known else {
        return number.first().is_some_and(|digit| *digit != 0) && ELSEWHERE.contains(&number.len());
    };
    // Some leave the zero in that is dialled at home: +966 (0)50.
    let without_zero = national.len() - usize::from(national.first() == Some(&0));
    let is_so_long = lengths.contains(&national.len()) || lengths.contains(&without_zero);
    is_so_long && !is_of_a_service(number)
}

/// Whether these digits begin with the code of a country whose numbers are known.
pub(crate) fn begins_with_code(digits: &str) -> bool {
    COUNTRIES.iter().any(|(code, _)| digits.starts_with(code))
}

/// Whether it is a Saudi number that belongs to an organisation, such as 9200 12345 and 800 123 4567.
fn is_of_a_service(number: &[u8]) -> bool {
    after(number, "966").is_some_and(|national| national.starts_with(&[9, 2, 0, 0]) || national.starts_with(&[8, 0, 0]))
}

/// Whether it is dialled so in Saudi Arabia: a mobile telephone, or a line with its area.
fn is_domestic(number: &[u8]) -> bool {
    is_mobile(number) || (number.len() == 10 && matches!(number, [0, 1, 1..=7, ..]))
}

fn is_mobile(number: &[u8]) -> bool {
    number.len() == 10 && number.starts_with(&[0, 5])
}

/// Whether it is a mobile telephone without its zero.
fn is_without_zero(number: &[u8]) -> bool {
    number.len() == 9 && number.first() == Some(&5)
}

/// Whether it is a number of the region without `+`.
fn is_regional(number: &[u8]) -> bool {
    REGION.iter().any(|(code, heads, length)| {
        let national = after(number, code).unwrap_or_default();
        let (zero, head) = (national.first() == Some(&0), national.iter().find(|digit| **digit != 0));
        number.len() == length + usize::from(zero) && head.is_some_and(|head| heads.contains(head))
    })
}

/// Whether numbers are written in such groups: no date has three digits first, or four second, or pairs only.
fn is_written_so(part: &[Group]) -> bool {
    let length = |place: usize| part.get(place).map_or(0, Group::len);
    let mut joints = part.iter().skip(1).map(|group| group.joint);
    let is_even = joints.next().is_none_or(|first| joints.all(|joint| joint == first));
    let are_pairs = part.len() == 5 && part.iter().all(|group| group.len() == 2);
    part.len() == 1 || length(0) >= 3 || (length(0) == 2 && length(1) >= 4) || (are_pairs && is_even)
}

/// Whether mobile telephones are written in such groups, and hardly anything else: `050 123 4567`, `05 0123 4567`.
fn is_written_as_mobile(part: &[Group]) -> bool {
    let lengths: Vec<usize> = part.iter().map(Group::len).collect();
    matches!(
        lengths.as_slice(),
        [10] | [3, 7] | [3, 3, 4] | [3, 4, 3] | [4, 3, 3] | [2, 4, 4]
    )
}

/// The digits behind a code.
fn after<'a>(number: &'a [u8], code: &str) -> Option<&'a [u8]> {
    let head = code.bytes().map(|digit| digit - b'0');
    let rest = number.get(code.len()..)?;
    number
        .iter()
        .copied()
        .zip(head)
        .all(|(is, wanted)| is == wanted)
        .then_some(rest)
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
    fn numbers_are_found_however_they_are_dialled() {
        for text in [
            "0501234567",
            "050 123 4567",
            "٠٥٠-١٢٣-٤٥٦٧",
            "۰۵۰۱۲۳۴۵۶۷",
            "05 0123 4567",
            "05 01 23 45 67",
            "011 234 5678",
            "+966501234567",
            "+966 50 123 4567",
            "+966 (0)50 123 4567",
            "00966501234567",
            "966501234567",
            "+971 50 123 4567",
            "+1 (212) 555-0123",
            "+44 20 7946 0958",
            "+20 100 123 4567",
            "+358 40 1234567",
            "\u{202a}+966\u{200e} 50ـ1234567\u{202c}",
        ] {
            assert_eq!(found(&format!("جوالي {text}، شكراً")).len(), 1, "{text}");
            assert_eq!(found(&format!("({text})")).len(), 1, "({text})");
        }
        assert_eq!(found("اتصلوا على جوالي 501234567"), ["501234567"]);
        assert_eq!(found("أرجو الاتصال بخصوص طلبي على 050 123 4567").len(), 1);
        assert_eq!(found("for my order write to _0501234567_").len(), 1);
        assert_eq!(found("0501234567/0551234567"), ["0501234567", "0551234567"]);
        assert_eq!(found("بـ+966501234567"), ["+966501234567"]);
    }

    #[test]
    fn what_only_looks_like_one_is_left() {
        for text in [
            "501234567",
            "05-12-2026",
            "05/12/2026 10:30",
            "920012345",
            "8001234567",
            "+966 9200 12345",
            "1,050,123,456.00",
            "رقم الطلب 966501234567",
            "order 0112345678",
            "invoice 0512-2026-11",
            "v0.5.0123456789",
            "C++11",
            "+15",
            "05012345678",
            "ORD-0501234567",
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }
}
