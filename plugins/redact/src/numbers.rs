//! Numbers as people write them: groups of digits with blanks, hyphens or other signs between them.

use std::ops::Range;

use crate::line::Line;

/// Most signs between two groups of one number.
const JOINT_SIGNS_MAX: usize = 3;

/// Digits with nothing between them, none of which is taken.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Where it lies in its line.
    pub(crate) range: Range<usize>,
    /// What stands between the group before and this one, where that is little and of one sort.
    pub(crate) joint: Option<char>,
}

impl Group {
    /// How many digits it has.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }
}

/// All groups of a line.
pub(crate) fn groups(line: &Line) -> Vec<Group> {
    let (mut found, mut place): (Vec<Group>, usize) = (Vec::new(), 0);
    while place < line.len() {
        let start = place;
        while line.free(place).is_some_and(|sign| sign.is_ascii_digit()) {
            place += 1;
        }
        if place == start {
            place += 1;
            continue;
        }
        let joint = found.last().and_then(|last| joint(line, last.range.end..start));
        found.push(Group {
            range: start..place,
            joint,
        });
    }
    found
}

/// The sign between two groups: the first that is no blank, else a blank.
fn joint(line: &Line, between: Range<usize>) -> Option<char> {
    if between.is_empty() || between.len() > JOINT_SIGNS_MAX {
        return None;
    }
    let mut joint = ' ';
    for place in between {
        let sign = line.free(place)?;
        if !matches!(sign, ' ' | '-' | '.' | '/' | '(' | ')' | '·' | '•') {
            return None;
        }
        if joint == ' ' {
            joint = sign;
        }
    }
    Some(joint)
}

/// The digits of neighbouring groups.
pub(crate) fn digits(line: &Line, groups: &[Group]) -> Vec<u8> {
    let places = groups.iter().flat_map(|group| group.range.clone());
    let digit = |place: usize| u8::try_from(line.sign(place)?.to_digit(10)?).ok();
    places.filter_map(digit).collect()
}

/// From the first digit of neighbouring groups to the last.
pub(crate) fn extent(groups: &[Group]) -> Range<usize> {
    let start = groups.first().map_or(0, |group| group.range.start);
    let end = groups.last().map_or(0, |group| group.range.end);
    start..end
}

/// Whether the last digit checks the others as on cards (Luhn; ISO/IEC 7812-1).
pub(crate) fn is_luhn(digits: &[u8]) -> bool {
    let value = |(place, digit): (usize, &u8)| {
        let digit = u32::from(*digit);
        match (place.is_multiple_of(2), digit) {
            (true, digit) => digit,
            (false, 5..) => digit * 2 - 9,
            (false, _) => digit * 2,
        }
    };
    let sum: u32 = digits.iter().rev().enumerate().map(value).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, Option<char>)> {
        let mut line = Line::default();
        line.read(text, 0);
        let found = groups(&line);
        found
            .iter()
            .map(|group| (line.text(&group.range), group.joint))
            .collect()
    }

    #[test]
    fn groups_know_what_joins_them() {
        let group = |digits: &str, joint| (digits.to_owned(), joint);
        assert_eq!(
            shown("٠٥٠-123 4567"),
            [group("050", None), group("123", Some('-')), group("4567", Some(' '))]
        );
        assert_eq!(
            shown("+966 (11) 2345"),
            [group("966", None), group("11", Some('(')), group("2345", Some(')'))]
        );
        assert_eq!(
            shown("12:30، 5"),
            [group("12", None), group("30", None), group("5", None)]
        );
        assert_eq!(shown("1\u{200f} \u{202a}2"), [group("1", None), group("2", Some(' '))]);
    }

    #[test]
    fn the_last_digit_checks_the_others() {
        for sound in ["4111111111111111", "378282246310005", "79927398713", "1000000008"] {
            let digits: Vec<u8> = sound.bytes().map(|b| b - b'0').collect();
            assert!(is_luhn(&digits), "{sound}");
            for place in 0..digits.len() {
                let mut wrong = digits.clone();
                wrong[place] = (wrong[place] + 1) % 10;
                assert!(!is_luhn(&wrong), "{sound} with another digit at {place}");
            }
        }
    }
}
