//! A line of text as it is compared: digits of every script as ASCII, and what shows nothing left out.

use std::ops::Range;

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
        let glyph = |(at, letter): (usize, char)| {
            Some(Glyph {
                at: u32::try_from(from + at).unwrap_or(u32::MAX),
                sign: sign(letter)?,
                bytes: u8::try_from(letter.len_utf8()).unwrap_or(u8::MAX),
                taken: false,
            })
        };
        // At once: growing by and by takes the memory of a long line twice.
        self.glyphs.reserve(line.len());
        self.glyphs.extend(line.char_indices().filter_map(glyph));
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
        (in_sum(before(1)) && digit(before(2)))
            || (in_sum(after(0)) && digit(after(1)))
            || (in_code(before(1)) && letter(before(2)))
            || (in_code(after(0)) && letter(after(1)))
    }
}

/// The zeros of the scripts in which people write numbers; the other digits follow each.
const ZEROS: [char; 17] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}', '\u{c66}',
    '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{1040}', '\u{17e0}', '\u{ff10}',
];

/// What a letter counts as; nothing for what shows nothing.
fn sign(letter: char) -> Option<char> {
    match letter {
        // Marks of direction, joiners, breaks without width, the stroke that stretches Arabic words, and what makes another
        // picture of the letter before, as of the digits on keys.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{640}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{206f}'
        | '\u{20e3}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => None,
        '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => Some(' '),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some('-'),
        '\u{ff0b}' => Some('+'),
        '\u{ff0e}' => Some('.'),
        '\u{ff20}' => Some('@'),
        // In five styles for formulas.
        '\u{1d7ce}'..='\u{1d7ff}' => char::from_digit((u32::from(letter) - 0x1d7ce) % 10, 10),
        '\u{660}'.. => Some(digit(letter).unwrap_or(letter)),
        other => Some(other),
    }
}

fn digit(letter: char) -> Option<char> {
    let from = |zero: &char| char::from_digit(u32::from(letter).checked_sub(u32::from(*zero))?, 10);
    ZEROS.iter().find_map(from)
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
