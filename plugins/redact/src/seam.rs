//! Numbers that a line break takes apart, as programs do that wrap long lines and quote them.
//!
//! Lists and tables are full of numbers that stand under one another, so a number over two lines must show that it is one: by
//! its check digits and by not being two numbers that each say something, or, of a telephone, by a beginning that is none
//! without its end.

use std::ops::Range;

use crate::context::{self, Said};
use crate::line::Line;
use crate::numbers::groups;
use crate::phone;
use crate::settings::Kind;

/// Most letters of each line that are looked at: more than a number and the words before it have.
const WINDOW: usize = 128;
/// Longest line that may be one of a list of numbers, in bytes.
const LISTED_MAX: usize = 256;
/// What may stand in the place of the break. Mostly it took the place of a blank; some programs break anywhere.
static JOINTS: [Option<char>; 6] = [None, Some(' '), Some('-'), Some('.'), Some('·'), Some('•')];

/// The lines around a break, as they stand in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// All of it.
    pub(crate) text: &'a str,
    /// Before the first line.
    pub(crate) above: &'a str,
    /// Before the break.
    pub(crate) first: &'a str,
    /// Behind the break.
    pub(crate) second: &'a str,
    /// Behind the second line.
    pub(crate) below: &'a str,
}

/// A break over which a number may go.
pub(crate) struct Seam<'a> {
    around: Around<'a>,
    /// Which part of the first line is looked at.
    first: Range<usize>,
    /// Which part of the second.
    second: Range<usize>,
    /// Whether digits stand on both sides, with a hyphen or bracket between at most.
    joins_digits: bool,
}

/// A number that goes over a break.
pub(crate) struct Crossing {
    /// Parts of both lines as one.
    pub(crate) line: Line,
    /// Where in it the number stands.
    pub(crate) range: Range<usize>,
    /// The first place in it that is of the second line.
    pub(crate) behind: usize,
    /// Where the number stands in the first line, up to the end of what was looked at there.
    pub(crate) in_first: Range<usize>,
    /// Where in the second line it ends, from the beginning of what was looked at there.
    pub(crate) in_second: Range<usize>,
}

impl<'a> Seam<'a> {
    /// The break between two lines that were looked through, unless nothing goes over it.
    pub(crate) fn between(first: &Line, second: &Line, around: Around<'a>) -> Option<Self> {
        let end = (0..first.len()).rev().find(|place| !is_blank(first, *place))? + 1;
        let start = (0..second.len()).find(|place| !is_blank(second, *place) && second.sign(*place) != Some('>'))?;
        let seam = Self {
            around,
            first: end.saturating_sub(WINDOW)..end,
            second: start..second.len().min(start + WINDOW),
            joins_digits: ends_in_digit(first, end) && begins_with_digit(second, start),
        };
        let letter = |line: &Line, place: usize| line.free(place).is_some_and(|sign| sign.is_ascii_alphanumeric());
        let last = end - usize::from(first.free(end - 1) == Some('-'));
        let next = start + usize::from(second.free(start) == Some('-'));
        let joins_letters = last > 0 && letter(first, last - 1) && letter(second, next);
        let may_join = seam.joins_digits || joins_letters;
        let has_digit = |line: &Line, mut places: Range<usize>| {
            places.any(|place| line.free(place).is_some_and(|sign| sign.is_ascii_digit()))
        };
        let is_worth_it = may_join && has_digit(first, seam.first.clone()) && has_digit(second, seam.second.clone());
        is_worth_it.then_some(seam)
    }

    /// The number of this kind that goes over the break.
    pub(crate) fn number(
        &self,
        (first, second): (&Line, &Line),
        kind: Kind,
        find: fn(&Line) -> Vec<Range<usize>>,
    ) -> Option<Crossing> {
        let joints = match kind {
            // They are read without what stands between.
            Kind::Iban => JOINTS.get(..1)?,
            Kind::CardNumber | Kind::NationalId | Kind::Phone if self.joins_digits => JOINTS.as_slice(),
            _ => return None,
        };
        joints.iter().find_map(|joint| {
            let line = Line::joined((first, self.first.clone()), *joint, (second, self.second.clone()));
            let (end, behind) = (self.first.len(), self.first.len() + usize::from(joint.is_some()));
            let mut found = find(&line).into_iter();
            let range = found.find(|range| range.start < end && range.end > behind)?;
            let crossing = Crossing {
                in_first: self.first.start + range.start..self.first.end,
                in_second: self.second.start..self.second.start + (range.end - behind),
                line,
                range,
                behind,
            };
            self.is_one(kind, &crossing).then_some(crossing)
        })
    }

    /// Whether what was found over the break is one number, and not the last of one line and the first of the next.
    fn is_one(&self, kind: Kind, crossing: &Crossing) -> bool {
        let halves = Halves::of(crossing);
        let said = || context::before(&crossing.line, crossing.range.start);
        match kind {
            _ if crossing.is_of_a_table(self.around.text) => false,
            Kind::Email => false,
            // Country and check digits stand together, and 96 of 97 others do not pass.
            Kind::Iban => halves.digits.len() >= 4 && !is_headed_as_account(&halves.rest),
            _ if crossing.is_in_a_row() || self.is_listed(&halves) => false,
            Kind::CardNumber => halves.are_in_fours() || context::names_a_card(&crossing.line, crossing.range.start),
            Kind::NationalId => said() == Some(Said::Identity),
            Kind::Phone => {
                halves.begin_abroad(crossing) || (crossing.has_word_beside() && halves.begin(crossing, said()))
            }
        }
    }

    /// Whether a half stands alone in its line, and such a line is above or below: a list of numbers.
    fn is_listed(&self, halves: &Halves) -> bool {
        let Halves { first, second, .. } = halves;
        let is_first_alone = holds_only(self.around.first, first);
        let is_second_alone = holds_only(self.around.second, second);
        let are_alike = first == second && !halves.are_hyphened;
        (is_first_alone && is_second_alone && are_alike)
            || (is_first_alone && holds_only(self.around.above, first))
            || (is_second_alone && holds_only(self.around.below, second))
    }
}

impl Crossing {
    /// Whether wide gaps or strokes stand in one of its lines, as between the columns of a table: up to what is masked there.
    fn is_of_a_table(&self, text: &str) -> bool {
        let is_taken = |place: &usize| self.line.free(*place).is_none();
        let start = (0..self.range.start).rev().find(is_taken).map_or(0, |taken| taken + 1);
        let end = (self.range.end..self.line.len()).find(is_taken);
        let end = end.unwrap_or(self.line.len());
        let first_end = self.range.start + self.in_first.len();
        [start..first_end, self.behind..end].iter().any(|places| {
            let bytes = self.line.bytes(places).unwrap_or_default();
            let row = text.get(bytes.start as usize..bytes.end as usize).unwrap_or_default();
            let row = row.trim_matches(|sign: char| sign.is_whitespace() || sign == '>');
            row.contains(['\t', '|']) || row.contains("   ")
        })
    }

    /// Whether a word stands beside it, as in a sentence. What is masked is none.
    fn has_word_beside(&self) -> bool {
        let ends_gap = |place: &usize| self.line.free(*place).is_none_or(char::is_alphanumeric);
        let before = (0..self.range.start).rev().find(ends_gap);
        let behind = (self.range.end..self.line.len()).find(ends_gap);
        let is_letter = |place: usize| self.line.free(place).is_some_and(char::is_alphabetic);
        before.is_some_and(is_letter) || behind.is_some_and(is_letter)
    }

    /// Whether colons and the like join it to further digits, as in times and dates.
    fn is_in_a_row(&self) -> bool {
        let joins = |place: Option<usize>| {
            let sign = place.and_then(|place| self.line.free(place));
            matches!(sign, Some(':' | '/' | ',' | '،'))
        };
        let Range { start, end } = self.range;
        (joins(start.checked_sub(1)) && is_digit(&self.line, start.checked_sub(2)))
            || (joins(Some(end)) && is_digit(&self.line, Some(end + 1)))
    }
}

/// What of a number stands on each side of a break.
struct Halves {
    /// How many digits each group before the break has.
    first: Vec<usize>,
    /// And each behind it.
    second: Vec<usize>,
    /// The digits before the break, and letters of an account.
    digits: String,
    /// Those behind it.
    rest: String,
    /// Whether a hyphen at the break says that the number goes on.
    are_hyphened: bool,
}

impl Halves {
    fn of(crossing: &Crossing) -> Self {
        let Crossing {
            line, range, behind, ..
        } = crossing;
        let last = crossing.in_first.len() + range.start;
        let is_hyphen = |place: Option<usize>| place.and_then(|place| line.sign(place)) == Some('-');
        Self {
            first: lengths(line, range.start..last),
            second: lengths(line, *behind..range.end),
            digits: line.code(&(range.start..last)),
            rest: line.code(&(*behind..range.end)),
            are_hyphened: is_hyphen(last.checked_sub(1)) || is_hyphen(Some(*behind)),
        }
    }

    /// Whether the groups are those in which people write cards, and hardly anything else: fours mostly. The break may be
    /// inside of a group.
    fn are_in_fours(&self) -> bool {
        let apart = [self.first.as_slice(), self.second.as_slice()].concat();
        let mut joined = self.first.clone();
        let mut behind = self.second.iter().copied();
        if let Some(last) = joined.last_mut() {
            *last += behind.next().unwrap_or_default();
        }
        joined.extend(behind);
        [apart, joined].iter().any(|groups| match groups.as_slice() {
            [4, 6, 4 | 5] => true,
            [fours @ .., 1..=4] => fours.len() >= 3 && fours.iter().all(|length| *length == 4),
            _ => false,
        })
    }

    /// Whether the first half begins as a number for calls to other countries, and is none yet.
    fn begin_abroad(&self, crossing: &Crossing) -> bool {
        crossing.line.sign(crossing.range.start) == Some('+') && self.digits.len() >= 2
    }

    /// Whether the first half begins as telephone numbers do and hardly anything else does, and is none yet; or as little of
    /// one is said to be one.
    fn begin(&self, crossing: &Crossing, said: Option<Said>) -> bool {
        let start = crossing.range.start;
        let begins = |head: &str, least: usize| self.digits.starts_with(head) && self.digits.len() >= least;
        // Dates begin so as well, and behind other digits it is the end of one: `05/12`, `10-05`.
        let is_date = self.first.len() > 1 && self.first.iter().take(2).all(|length| *length <= 2);
        let goes_before = groups(&crossing.line)
            .iter()
            .any(|group| group.range.start == start && group.joint.is_some());
        if is_date || goes_before || said == Some(Said::Thing) {
            return false;
        }
        // Two numbers of one sort, one under the other.
        let are_whole = self.first.len() == 1 && self.second.len() == 1 && !self.are_hyphened;
        let mut heads = self.digits.bytes().zip(self.rest.bytes()).take(2);
        let is_next = are_whole && heads.all(|(one, other)| one == other);
        let is_abroad = self.digits.strip_prefix("00").is_some_and(phone::begins_with_code);
        let is_begun = (is_abroad && begins("00", 4)) || begins("05", 3) || begins("9665", 4);
        (is_begun && !is_next) || (said == Some(Said::Phone) && begins("", 3))
    }
}

/// How many digits each group has.
fn lengths(line: &Line, range: Range<usize>) -> Vec<usize> {
    let (mut lengths, mut goes_on): (Vec<usize>, bool) = (Vec::new(), false);
    for place in range {
        let is_digit = line.sign(place).is_some_and(|sign| sign.is_ascii_digit());
        if is_digit && !goes_on {
            lengths.push(0);
        }
        if is_digit && let Some(length) = lengths.last_mut() {
            *length += 1;
        }
        goes_on = is_digit;
    }
    lengths
}

/// Whether a line as it stands in the text has groups of so many digits, and no word.
fn holds_only(text: &str, wanted: &[usize]) -> bool {
    if text.len() > LISTED_MAX || text.chars().any(char::is_alphabetic) {
        return false;
    }
    let mut line = Line::default();
    line.read(text, 0);
    lengths(&line, 0..line.len()) == wanted
}

/// Whether letters and digits begin as account numbers do: codes stand under one another, too.
fn is_headed_as_account(rest: &str) -> bool {
    let is = |places: Range<usize>, fits: fn(&u8) -> bool| {
        let head = rest.as_bytes().get(places);
        head.is_some_and(|head| head.iter().all(fits))
    };
    is(0..2, u8::is_ascii_uppercase) && is(2..4, u8::is_ascii_digit)
}

fn is_blank(line: &Line, place: usize) -> bool {
    line.sign(place).is_some_and(char::is_whitespace)
}

fn is_digit(line: &Line, place: Option<usize>) -> bool {
    place
        .and_then(|place| line.free(place))
        .is_some_and(|sign| sign.is_ascii_digit())
}

/// Whether a line that ends before this place ends in a digit, with a hyphen or bracket behind it at most.
fn ends_in_digit(line: &Line, end: usize) -> bool {
    let last = end.checked_sub(1);
    let is_sign = matches!(last.and_then(|last| line.free(last)), Some('-' | ')'));
    is_digit(line, last) || (is_sign && is_digit(line, end.checked_sub(2)))
}

/// Whether a line that begins at this place begins with a digit, with a hyphen or bracket before it at most.
fn begins_with_digit(line: &Line, start: usize) -> bool {
    let is_sign = matches!(line.free(start), Some('-' | '('));
    is_digit(line, Some(start)) || (is_sign && is_digit(line, Some(start + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(first: &[usize], second: &[usize]) -> Halves {
        Halves {
            first: first.to_vec(),
            second: second.to_vec(),
            digits: String::new(),
            rest: String::new(),
            are_hyphened: false,
        }
    }

    #[test]
    fn cards_are_written_in_fours_wherever_the_line_ends() {
        let fours: [(&[usize], &[usize]); 7] = [
            (&[4, 4], &[4, 4]),
            (&[4], &[4, 4, 4]),
            (&[4, 3], &[1, 4, 4]),
            (&[4, 4, 4, 4], &[3]),
            (&[4, 4, 4, 2], &[2]),
            (&[4, 6], &[5]),
            (&[4, 2], &[2, 4, 4]),
        ];
        for (first, second) in fours {
            assert!(halves(first, second).are_in_fours(), "{first:?} {second:?}");
        }
        let others: [(&[usize], &[usize]); 6] = [
            (&[8], &[8]),
            (&[16], &[2]),
            (&[4, 4], &[4]),
            (&[4, 5], &[4, 4]),
            (&[5, 5], &[5]),
            (&[4, 4, 4], &[5]),
        ];
        for (first, second) in others {
            assert!(!halves(first, second).are_in_fours(), "{first:?} {second:?}");
        }
    }

    #[test]
    fn a_line_of_numbers_alone_is_known() {
        assert!(holds_only("> ٤٥٣٩ 0000,\r\n", &[4, 4]) && holds_only("  \n", &[]));
        assert!(
            !holds_only("رقم 4539 0000", &[4, 4]) && !holds_only("4539 0000 1", &[4, 4]) && !holds_only("4539", &[5])
        );
    }

    #[test]
    fn only_what_ends_and_begins_with_a_number_is_looked_at() {
        let is_worth_it = |first: &str, second: &str| {
            let (mut above, mut below) = (Line::default(), Line::default());
            above.read(first, 0);
            below.read(second, first.len());
            let around = Around {
                text: "",
                above: "",
                first,
                second,
                below: "",
            };
            Seam::between(&above, &below, around).is_some()
        };
        assert!(
            is_worth_it("بطاقتي 4539 \r\n", "> 0000")
                && is_worth_it("4539-\n", "-0000")
                && is_worth_it("SA03\n", "8000")
        );
        assert!(
            !is_worth_it("بطاقتي 4539.\n", "0000") && !is_worth_it("4539\n", "- 0000") && !is_worth_it("4539\n", "\n")
        );
        assert!(!is_worth_it("", "4539") && !is_worth_it("رقم 4539\n", "شكراً 5") && !is_worth_it("4539\n", "[phone]"));
    }
}
