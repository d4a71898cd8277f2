//! Saudi national ids (they begin with 1) and residence permits (iqama, with 2): ten digits of which the last checks the
//! others.

use std::ops::Range;

use crate::context::{self, Said};
use crate::line::Line;
use crate::numbers::{Group, digits, extent, groups, is_luhn};

/// Digits of an id.
const DIGITS: usize = 10;

/// Where ids stand.
///
/// Every tenth number of ten digits passes the check, so the words before decide as well: the number of an order is left,
/// and one that is written in several groups must be called an id.
pub(crate) fn find(line: &Line) -> Vec<Range<usize>> {
    let all = groups(line);
    let (mut found, mut first) = (Vec::new(), 0);
    while first < all.len() {
        match past(line, &all, first) {
            Some(past) => {
                found.push(extent(&all[first..past]));
                first = past;
            }
            None => first += 1,
        }
    }
    found
}

/// The end of an id that begins with this group.
fn past(line: &Line, all: &[Group], first: usize) -> Option<usize> {
    let sort = all.get(first + 1).and_then(|next| next.joint);
    let mut count = 0;
    for (place, group) in all.iter().enumerate().skip(first) {
        if place > first && (group.joint != sort || !matches!(sort, Some(' ' | '-'))) {
            return None;
        }
        count += group.len();
        if count >= DIGITS {
            let part = &all[first..=place];
            return (count == DIGITS && is_id(line, part)).then_some(place + 1);
        }
    }
    None
}

fn is_id(line: &Line, part: &[Group]) -> bool {
    let (range, number) = (extent(part), digits(line, part));
    let is_sound = matches!(number.first(), Some(1 | 2)) && is_luhn(&number);
    if !is_sound || !line.stands_alone(&range) || line.is_part(&range) || is_in_a_row(line, &range) {
        return false;
    }
    match context::before(line, range.start) {
        Some(Said::Identity) => true,
        _ if part.len() > 1 => false,
        Some(Said::Thing) => false,
        _ => line.free_before(range.start) != Some('#') && !context::is_amount(line, range.start, range.end),
    }
}

/// Whether hyphens or colons join the number to other digits: `2026-1000000008` is the number of a thing.
fn is_in_a_row(line: &Line, range: &Range<usize>) -> bool {
    let digit = |sign: Option<char>| sign.is_some_and(|sign| sign.is_ascii_digit());
    let joins = |sign: Option<char>| matches!(sign, Some('-' | ':' | '_'));
    let two_before = range.start.checked_sub(2).and_then(|place| line.free(place));
    (joins(line.free_before(range.start)) && digit(two_before))
        || (joins(line.free(range.end)) && digit(line.free(range.end + 1)))
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
    fn ids_and_residence_permits_are_found() {
        for (text, id) in [
            ("هويتي 1000000008", "1000000008"),
            ("رقم الإقامة: ٢٠٠٠٠٠٠٠٠٦", "2000000006"),
            ("My iqama is 2000000006.", "2000000006"),
            ("1000000008", "1000000008"),
            ("الهوية 100-000-0008", "1000000008"),
            ("طلب رقم 5 لصاحب الهوية ۱۰۰۰۰۰۰۰۰۸", "1000000008"),
        ] {
            assert_eq!(found(text), [id], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_left() {
        for text in [
            "هويتي 1000000009",
            "رقم الطلب 1000000008",
            "order 1000000008",
            "#1000000008",
            "ORD-1000000008",
            "2026-1000000008",
            "1000000008.50",
            "1000000008 ريال",
            "3000000004",
            "10000000080",
            "100 000 0008",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
