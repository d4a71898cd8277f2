//! Arabic written with Latin letters and digits: `3ayez a3raf leh el talab et2akhar`.

use crate::words::{LATIN, Words};

const SMALL_WORDS: [&str; 74] = [
    "ana", "enta", "enti", "inta", "inti", "e7na", "ihna", "ehna", "howa", "heya", "msh", "mesh", "mish", "mush",
    "moo", "mo", "mafi", "mafeesh", "mafish", "fe", "fi", "fee", "el", "al", "il", "we", "wa", "bas", "bs", "keda",
    "kda", "kida", "leh", "leih", "lesh", "leish", "eh", "eih", "shu", "wesh", "wallah", "walla", "wallahi", "yalla",
    "khalas", "shukran", "awi", "awy", "gedan", "jiddan", "jidan", "kteer", "kteir", "kteir", "kol", "kull", "mn",
    "min", "men", "ma", "da", "di", "dah", "dih", "el-talab", "ya", "hal", "lama", "lamma", "ba3d", "mara", "marra",
    "aywa", "tamam",
];
/// Letters and digits that are no Arabic.
const FALSE_FRIENDS: [&str; 14] = [
    "mp3", "mp4", "h264", "b2b", "b2c", "k12", "o365", "s3", "3d", "2d", "5g", "p2p", "f2f", "v2",
];
const UNITS: [&str; 30] = [
    "st", "nd", "rd", "th", "g", "gb", "mb", "kb", "tb", "kg", "km", "cm", "mm", "m", "am", "pm", "k", "x", "d", "h",
    "hr", "hrs", "min", "mins", "s", "sec", "days", "sar", "usd", "rs",
];

/// What speaks for Arabic in Latin letters.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// Words with a digit in place of a letter.
    pub(crate) digit_words: usize,
    /// Small Arabic words.
    pub(crate) small_words: usize,
    /// All Latin words.
    pub(crate) words: usize,
}

impl Signs {
    /// Counts.
    pub(crate) fn of(words: &Words<'_>) -> Self {
        let mut signs = Self::default();
        for word in words.of_script(LATIN) {
            let lower = word.text.to_lowercase();
            signs.words += 1;
            if has_digit_letter(&lower) {
                signs.digit_words += 1;
            } else if SMALL_WORDS.contains(&lower.as_str()) {
                signs.small_words += 1;
            }
        }
        signs
    }

    /// Whether some of it is Arabic in Latin letters.
    pub(crate) fn speak_for_arabizi(&self) -> bool {
        let either = self.digit_words + self.small_words;
        let half_of_them = either * 3 >= self.words;
        self.digit_words >= 2
            || (self.digit_words == 1 && self.small_words >= 1)
            || (self.small_words >= 3 && half_of_them)
    }

    /// How sure that the text is Arabic in Latin letters, as opposed to holding some. `english` counts English words.
    pub(crate) fn confidence(&self, english: usize) -> f64 {
        let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let found = 1.5 * count(self.digit_words) + count(self.small_words);
        let share = found / count(self.words.max(1));
        let weight = (found / 3.0).min(1.0);
        let against = count(english) / found.max(1.0);
        (share.min(0.5) * 2.0 * weight - against).clamp(0.0, 1.0)
    }
}

/// A digit that stands for a letter: one of 2 3 5 6 7 8 9 inside a word or before two or more letters. Not `3rd`, `5kg`,
/// `covid19` or `mp3`.
fn has_digit_letter(word: &str) -> bool {
    let chars: Vec<char> = word.chars().collect();
    let digits = chars.iter().filter(|c| c.is_ascii_digit()).count();
    let letters = chars.iter().filter(|c| c.is_ascii_lowercase()).count();
    let well_formed = digits + letters + chars.iter().filter(|c| matches!(c, '\'' | '-')).count() == chars.len();
    if digits == 0 || letters < 2 || !well_formed || digits > letters || FALSE_FRIENDS.contains(&word) {
        return false;
    }
    if chars.windows(2).any(|pair| pair.iter().all(char::is_ascii_digit)) {
        return false;
    }
    let behind_digit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    if behind_digit.len() < word.len() && UNITS.contains(&behind_digit) {
        return false;
    }
    let stands_for_letter = |c: &char| matches!(c, '2' | '3' | '5' | '6' | '7' | '8' | '9');
    let inside = chars
        .iter()
        .enumerate()
        .any(|(at, c)| stands_for_letter(c) && at + 1 < chars.len());
    // At the end only 3 and 7 are common (`yenfa3`, `mafto7`), and a version number could stand there.
    let at_end = chars.last().is_some_and(|c| matches!(c, '3' | '7')) && letters >= 4 && !is_version(word);
    inside || at_end
}

fn is_version(word: &str) -> bool {
    [
        "step", "version", "level", "type", "item", "page", "room", "gate", "line", "windows", "iphone", "part",
        "phase",
    ]
    .iter()
    .any(|name| word.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_for_letters() {
        for word in [
            "3ayez", "a3raf", "7aga", "et2akhar", "msh3arf", "yenfa3", "mafto7", "5alas", "sa2alt", "9abah",
        ] {
            assert!(has_digit_letter(word), "{word}");
        }
        for word in [
            "3rd", "5kg", "covid19", "mp3", "24h", "2nd", "iphone7", "step3", "b2b", "123", "hello", "4pm", "1st",
        ] {
            assert!(!has_digit_letter(word), "{word}");
        }
    }
}
