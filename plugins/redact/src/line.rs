//! A line of text as it is compared: digits of every script as ASCII, and what shows nothing left out.

use std::ops::Range;

use crate::letters::{coded, sign};

/// One letter of a line.
#[derive(Debug, Clone, Copy)]
struct Glyph {
    /// Byte at which it begins in the text.
    at: u32,
    /// What it counts as.
    sign: char,
    /// Bytes that it has in the text.
    bytes: u8,
    /// Whether it belongs to something that was found, or to a mask.
    taken: bool,
}

/// A line of a text, read for comparing. Places in it count letters that show.
#[derive(Debug, Default)]
pub(crate) struct Line {
    glyphs: Vec<Glyph>,
}

impl Line {
    /// Reads a line that begins at byte `from` of its text, in place of the one before.
    pub(crate) fn read(&mut self, line: &str, from: usize) {
        self.glyphs.clear();
        // At once: growing by and by takes the memory of a long line twice.
        self.glyphs.reserve(line.len());
        let (mut rest, mut at) = (line, from);
        while let Some(letter) = rest.chars().next() {
            let (letter, bytes) = coded(rest).unwrap_or((letter, letter.len_utf8()));
            self.glyphs.extend(sign(letter).map(|sign| Glyph {
                at: u32::try_from(at).unwrap_or(u32::MAX),
                sign,
                bytes: u8::try_from(bytes).unwrap_or(u8::MAX),
                taken: false,
            }));
            rest = rest.get(bytes..).unwrap_or_default();
            at += bytes;
        }
    }

    /// Parts of two lines as one line, with a sign between them or nothing. Their letters keep their bytes, and belong to what
    /// they belong to.
    pub(crate) fn joined(first: (&Self, Range<usize>), joint: Option<char>, second: (&Self, Range<usize>)) -> Self {
        let part = |(line, range): (&Self, Range<usize>)| line.glyphs.get(range).unwrap_or_default().to_vec();
        let mut glyphs = part(first);
        let end = glyphs.last().map_or(0, |last| last.at + u32::from(last.bytes));
        glyphs.extend(joint.map(|sign| Glyph {
            at: end,
            sign,
            bytes: 0,
            taken: false,
        }));
        glyphs.extend(part(second));
        Self { glyphs }
    }

    /// How many letters it has.
    pub(crate) fn len(&self) -> usize {
        self.glyphs.len()
    }

    /// What the letter at a place counts as, whether it is taken or not.
    pub(crate) fn sign(&self, place: usize) -> Option<char> {
        self.glyphs.get(place).map(|glyph| glyph.sign)
    }

    /// As [`Line::sign`], of letters that belong to nothing yet.
    pub(crate) fn free(&self, place: usize) -> Option<char> {
        let glyph = self.glyphs.get(place).filter(|glyph| !glyph.taken)?;
        Some(glyph.sign)
    }

    /// As [`Line::free`], of the letter before a place.
    pub(crate) fn free_before(&self, place: usize) -> Option<char> {
        self.free(place.checked_sub(1)?)
    }

    /// Whether nothing in this range is taken.
    pub(crate) fn is_free(&self, range: &Range<usize>) -> bool {
        let glyphs = self.glyphs.get(range.clone()).unwrap_or_default();
        glyphs.iter().all(|glyph| !glyph.taken)
    }

    /// Marks a range as belonging to something.
    pub(crate) fn take(&mut self, range: &Range<usize>) {
        let glyphs = self.glyphs.get_mut(range.clone()).unwrap_or_default();
        glyphs.iter_mut().for_each(|glyph| glyph.taken = true);
    }

    /// The letters and digits of a range, in capitals: what two spellings of one number have in common.
    pub(crate) fn code(&self, range: &Range<usize>) -> String {
        let glyphs = self.glyphs.get(range.clone()).unwrap_or_default();
        let signs = glyphs.iter().map(|glyph| glyph.sign);
        signs
            .filter(char::is_ascii_alphanumeric)
            .map(|sign| sign.to_ascii_uppercase())
            .collect()
    }

    /// The letters of a range, in small letters.
    pub(crate) fn text(&self, range: &Range<usize>) -> String {
        let glyphs = self.glyphs.get(range.clone()).unwrap_or_default();
        glyphs.iter().flat_map(|glyph| glyph.sign.to_lowercase()).collect()
    }

    /// The bytes of the text that a range covers, with what shows nothing between its letters.
    pub(crate) fn bytes(&self, range: &Range<usize>) -> Option<Range<u32>> {
        let first = self.glyphs.get(range.start)?;
        let last = self.glyphs.get(range.end.checked_sub(1)?)?;
        Some(first.at..last.at + u32::from(last.bytes))
    }

    /// Whether no Latin letter and no digit touches a range: it is no part of a longer word or number. An underscore joins
    /// what stands on both sides of it, and else stresses what it stands around.
    pub(crate) fn stands_alone(&self, range: &Range<usize>) -> bool {
        let before = |far: usize| range.start.checked_sub(far).and_then(|place| self.free(place));
        let after = |far: usize| self.free(range.end + far);
        let belongs = |near: [Option<char>; 3]| {
            let nearest = near.into_iter().find(|sign| *sign != Some('_')).flatten();
            nearest.is_some_and(|sign| sign.is_ascii_alphanumeric())
        };
        !belongs([1, 2, 3].map(before)) && !belongs([0, 1, 2].map(after))
    }

    /// Whether a range is a part of a decimal, of a sum with thousands, or of a code such as `ORD-1012345678`.
    pub(crate) fn is_part(&self, range: &Range<usize>) -> bool {
        let digit = |sign: Option<char>| sign.is_some_and(|sign| sign.is_ascii_digit());
        let letter = |sign: Option<char>| sign.is_some_and(|sign| sign.is_ascii_alphabetic());
        let before = |far: usize| range.start.checked_sub(far).and_then(|place| self.free(place));
        let after = |far: usize| self.free(range.end + far);
        let in_sum = |sign: Option<char>| matches!(sign, Some('.' | ',' | '٫' | '٬'));
        let in_code = |sign: Option<char>| matches!(sign, Some('-' | '_'));
        // Programs that know no whole numbers write `966501234567.0`.
        let is_whole = after(0) == Some('.') && after(1) == Some('0');
        let goes_on =
            after(2).is_some_and(|sign| sign.is_ascii_alphanumeric()) || (in_sum(after(2)) && digit(after(3)));
        (in_sum(before(1)) && digit(before(2)))
            || (in_sum(after(0)) && digit(after(1)) && (goes_on || !is_whole))
            || (in_code(before(1)) && letter(before(2)))
            || (in_code(after(0)) && letter(after(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script_are_the_same_and_marks_are_left_out() {
        let mut line = Line::default();
        line.read("رقم \u{200f}٤١\u{200e}1۱ـ٢ن", 10);
        assert_eq!(line.text(&(0..line.len())), "رقم 41112ن");
        assert_eq!(line.code(&(0..line.len())), "41112");
        // The mark before the first digit is not covered, those between the digits are.
        let bytes = line.bytes(&(4..9)).unwrap();
        let text = format!("{}{}", "x".repeat(10), "رقم \u{200f}٤١\u{200e}1۱ـ٢ن");
        let covered = text.get(bytes.start as usize..bytes.end as usize).unwrap();
        assert_eq!(covered, "٤١\u{200e}1۱ـ٢");
    }

    #[test]
    fn a_number_is_the_same_in_the_script_of_whoever_writes_it() {
        for number in [
            "٤١٢",
            "۴۱۲",
            "४१२",
            "৪১২",
            "௪௧௨",
            "４１２",
            "𝟒𝟏𝟐",
            "𝟺𝟷𝟸",
            "4\u{fe0f}\u{20e3}1\u{fe0f}\u{20e3}2\u{fe0f}\u{20e3}",
        ] {
            let mut line = Line::default();
            line.read(number, 0);
            assert_eq!(
                (line.code(&(0..line.len())).as_str(), line.len()),
                ("412", 3),
                "{number}"
            );
        }
        let mut line = Line::default();
        line.read("ٱلهوية ௰", 0);
        assert_eq!(line.text(&(0..line.len())), "ٱلهوية ௰");
    }

    #[test]
    fn escapes_of_addresses_are_one_letter_each() {
        let text = "tel:%2B966%2050%D9%A1";
        let mut line = Line::default();
        line.read(text, 0);
        assert_eq!(line.text(&(0..line.len())), "tel:+966 501");
        let bytes = line.bytes(&(4..line.len())).unwrap();
        assert_eq!((bytes.start as usize, bytes.end as usize), (4, text.len()));
    }

    #[test]
    fn whole_numbers_of_programs_that_know_none_are_no_decimals() {
        let is_part = |text: &str| {
            let mut line = Line::default();
            line.read(text, 0);
            line.is_part(&(0..3))
        };
        assert!(!is_part("789.0") && !is_part("789.0 هو") && !is_part("789.0.") && !is_part("789"));
        assert!(is_part("789.00") && is_part("789.05") && is_part("789.0.1") && is_part("789.5") && is_part("789,000"));
    }

    #[test]
    fn parts_of_two_lines_keep_their_places() {
        let (mut first, mut second) = (Line::default(), Line::default());
        first.read("رقم 41\n", 0);
        second.read("> 11", 10);
        second.take(&(3..4));
        let line = Line::joined((&first, 4..6), Some(' '), (&second, 2..4));
        assert_eq!(line.text(&(0..line.len())), "41 11");
        assert_eq!(line.bytes(&(0..5)), Some(7..14));
        assert!(line.is_free(&(0..4)) && !line.is_free(&(4..5)));
    }

    #[test]
    fn underscores_join_two_sides_and_stress_one() {
        let alone = |text: &str| {
            let mut line = Line::default();
            line.read(text, 0);
            let place = |digit: char| (0..line.len()).find(|place| line.sign(*place) == Some(digit)).unwrap();
            line.stands_alone(&(place('7')..place('9') + 1))
        };
        assert!(alone("_789_") && alone("__789__") && alone("هو _789_، شكراً") && alone("789"));
        assert!(!alone("A_789") && !alone("789_a") && !alone("1__789") && !alone("x789"));
    }

    #[test]
    fn what_is_taken_no_longer_touches_anything() {
        let mut line = Line::default();
        line.read("ab12", 0);
        assert!(!line.stands_alone(&(2..4)) && line.is_free(&(0..4)));
        line.take(&(0..2));
        assert!(line.stands_alone(&(2..4)) && !line.is_free(&(1..3)));
    }
}
