//! Numbers of payment cards: 13 to 19 digits that a network begins its numbers with, and that check themselves.

use std::ops::Range;

use crate::line::Line;
use crate::numbers::{Group, digits, extent, groups, is_luhn};

/// Fewest digits of a card.
const DIGITS_MIN: usize = 13;
/// Most digits of a card.
const DIGITS_MAX: usize = 19;

/// Where card numbers stand.
pub(crate) fn find(line: &Line) -> Vec<Range<usize>> {
    let all = groups(line);
    let (mut found, mut first, mut fresh) = (Vec::new(), 0, 0);
    while first < all.len() {
        match longest(line, &all, first, first == fresh) {
            Some(past) => {
                found.push(extent(&all[first..past]));
                (first, fresh) = (past, past);
            }
            None => first += 1,
        }
    }
    found
}

/// The end of the longest card number that begins with this group. `is_fresh`: what lies before is another card.
fn longest(line: &Line, all: &[Group], first: usize, is_fresh: bool) -> Option<usize> {
    let sort = all.get(first + 1).and_then(|next| next.joint);
    let goes_before = !is_fresh && all[first].joint.is_some() && all[first].joint == sort;
    let (mut count, mut longest) = (0, None);
    for (place, group) in all.iter().enumerate().skip(first) {
        let is_joined = group.joint == sort && matches!(sort, Some(' ' | '-' | '.' | '·' | '•'));
        count += group.len();
        if (place > first && !is_joined) || count > DIGITS_MAX {
            break;
        }
        let part = &all[first..=place];
        // Of a long row of groups, some few in a row always pass the check.
        let goes_on = all.get(place + 1).is_some_and(|next| next.joint == sort);
        let is_cut_out = match part {
            [_] => false,
            [head, ..] if head.len() < 4 => goes_before || goes_on,
            _ => goes_before && all[first - 1].len() == 4,
        };
        if count >= DIGITS_MIN && !is_cut_out && is_written_so(part) && is_card(line, part) {
            longest = Some(place + 1);
        }
    }
    longest
}

/// Whether cards are written in such groups: one, equal ones, or four digits and more in each but the last.
fn is_written_so(part: &[Group]) -> bool {
    let [first, middle @ .., last] = part else {
        return true;
    };
    let is_even = middle.iter().all(|group| group.len() == first.len()) && last.len() <= first.len();
    let is_long = first.len() >= 4 && middle.iter().all(|group| group.len() >= 4);
    is_even || is_long
}

fn is_card(line: &Line, part: &[Group]) -> bool {
    let number = digits(line, part);
    line.stands_alone(&extent(part)) && is_of_a_network(&number) && is_luhn(&number) && !is_barcode(&number)
}

/// Whether a network gives out numbers that begin so and are so long.
fn is_of_a_network(number: &[u8]) -> bool {
    let head = |count: usize| {
        number
            .iter()
            .take(count)
            .fold(0_u32, |n, digit| n * 10 + u32::from(*digit))
    };
    let (length, one, two, three, four) = (number.len(), head(1), head(2), head(3), head(4));
    let visa = one == 4 && matches!(length, 13 | 16 | 19);
    let mastercard = length == 16 && (matches!(two, 51..=55) || matches!(four, 2221..=2720));
    let american_express = length == 15 && matches!(two, 34 | 37);
    let diners = length == 14 && (matches!(two, 36 | 38 | 39) || matches!(three, 300..=305) || four == 3095);
    // UnionPay, Discover and RuPay, JCB.
    let long = length >= 16 && (matches!(two, 62 | 65 | 81) || matches!(three, 644..=649));
    let longer = length >= 16 && matches!(four, 6011 | 3528..=3589);
    // mada, where it does not share a number range of the others; Mir, Meeza, Troy.
    let mada = matches!(four, 5297 | 5852 | 5888 | 5890 | 5892 | 6049 | 6051 | 6361 | 9682);
    let national = length == 16 && (mada || matches!(four, 2200..=2204 | 5078 | 9792));
    let maestro_head = matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763);
    let maestro = maestro_head && matches!(length, 16 | 18 | 19);
    visa || mastercard || american_express || diners || long || longer || national || maestro
}

/// Whether 13 digits check themselves as on goods (EAN-13): cards of that length are long out of use.
fn is_barcode(number: &[u8]) -> bool {
    let weighed = number.iter().enumerate();
    let sum: u32 = weighed
        .map(|(place, digit)| u32::from(*digit) * if place.is_multiple_of(2) { 1 } else { 3 })
        .sum();
    number.len() == 13 && sum.is_multiple_of(10)
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
    fn cards_are_found_however_they_are_written() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "٤١١١-١١١١-١١١١-١١١١",
            "۴۱۱۱ ۱۱۱۱ ۱۱۱۱ ۱۱۱۱",
            "4111.1111.1111.1111",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "3782 822463 10005",
            "\u{202a}5555 5555\u{200f} 5555 4444\u{202c}",
        ] {
            assert_eq!(found(&format!("بطاقتي {text}، شكراً")).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_card_is_left() {
        for text in [
            "4111111111111112",
            "41111111111111111111",
            "ORD4111111111111111",
            "9111111111111111",
            "2026-01-05 12:30:45",
            // Of goods, and by chance of a card as well.
            "4006381334013",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn two_cards_in_a_row_are_two() {
        assert_eq!(
            found("4111 1111 1111 1111 5555 5555 5555 4444"),
            ["4111 1111 1111 1111", "5555 5555 5555 4444"]
        );
    }
}
