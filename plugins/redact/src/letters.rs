//! What a letter counts as when numbers and addresses are compared.

/// The zeros of the scripts in which people write numbers; the other digits follow each.
const ZEROS: [char; 16] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}', '\u{c66}',
    '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{1040}', '\u{17e0}',
];

/// What a letter counts as; nothing for what shows nothing.
pub(crate) fn sign(letter: char) -> Option<char> {
    match letter {
        // Most letters of most texts.
        '\u{20}'..='\u{7e}' => Some(letter),
        // Marks of direction, joiners, breaks without width, letters without a picture, the stroke that stretches Arabic
        // words, and what makes another picture of the letter before: a stroke through it, the key around a digit.
        '\u{ad}'
        | '\u{300}'..='\u{36f}'
        | '\u{61c}'
        | '\u{640}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{20d0}'..='\u{20f0}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e01ef}' => None,
        '\t' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{2800}' | '\u{3000}' => {
            Some(' ')
        }
        '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Some('-'),
        '\u{2027}' | '\u{2219}' | '\u{22c5}' | '\u{30fb}' | '\u{ff65}' => Some('·'),
        '\u{fe62}' => Some('+'),
        '\u{fe6b}' => Some('@'),
        // As wide as Chinese letters: all of ASCII once more.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0),
        // In five styles for formulas, and in the segments of a display.
        '\u{1d7ce}'..='\u{1d7ff}' => char::from_digit((u32::from(letter) - 0x1d7ce) % 10, 10),
        '\u{1fbf0}'..='\u{1fbf9}' => char::from_digit(u32::from(letter) - 0x1fbf0, 10),
        '\u{660}'.. => Some(digit(letter).unwrap_or(letter)),
        other => Some(other),
    }
}

fn digit(letter: char) -> Option<char> {
    let from = |zero: &char| char::from_digit(u32::from(letter).checked_sub(u32::from(*zero))?, 10);
    ZEROS.iter().find_map(from)
}

/// The letter that an escape of an address on the web stands for, `+` for `%2B`, and how many bytes the escape has: of a text
/// that begins with one. Nobody escapes digits and letters of ASCII, so `50%30` is two numbers.
pub(crate) fn coded(text: &str) -> Option<(char, usize)> {
    let count = match coded_byte(text, 0)? {
        0x20..=0x7e => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let mut bytes = [0_u8; 4];
    for (place, byte) in bytes.iter_mut().enumerate().take(count) {
        *byte = coded_byte(text, place)?;
    }
    let letter = std::str::from_utf8(bytes.get(..count)?).ok()?.chars().next()?;
    (!letter.is_ascii_alphanumeric()).then_some((letter, 3 * count))
}

fn coded_byte(text: &str, place: usize) -> Option<u8> {
    let code = text.get(3 * place..3 * place + 3)?.strip_prefix('%')?;
    let is_code = code.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(code, 16).ok().filter(|_| is_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_counts_as_nothing() {
        for letter in "\u{ad}\u{200b}\u{200d}\u{200f}\u{2066}\u{feff}\u{640}\u{3164}\u{336}\u{fe0f}".chars() {
            assert_eq!(sign(letter), None, "{letter:?}");
        }
        for letter in "ء ؤ ً ة \u{653}".chars() {
            assert_eq!(sign(letter), Some(letter), "{letter:?}");
        }
    }

    #[test]
    fn other_pictures_of_a_sign_count_as_the_sign() {
        let read = |text: &str| -> String { text.chars().filter_map(sign).collect() };
        assert_eq!(read("\u{a0}\u{205f}\u{2800}\u{1680}"), "    ");
        assert_eq!(read("（＋９６６）－５０．１＠ＳＡ"), "(+966)-50.1@SA");
        assert_eq!(read("٤۴४４𝟒\u{1fbf4}"), "444444");
        assert_eq!(read("‐‑–—−﹣"), "------");
    }

    #[test]
    fn escapes_of_addresses_are_read() {
        for (text, letter, bytes) in [
            ("%2B966", '+', 3),
            ("%2b966", '+', 3),
            ("%20", ' ', 3),
            ("%40example", '@', 3),
            ("%D9%A4١", '٤', 6),
            ("%DB%B4", '۴', 6),
            ("%E2%80%8F5", '\u{200f}', 9),
        ] {
            assert_eq!(coded(text), Some((letter, bytes)), "{text}");
        }
        for text in [
            "", "2B", "%", "%2", "%zz", "%+1", "%30", "%41", "%0A", "%D9", "%D9x", "%FF%FF", "%ر",
        ] {
            assert_eq!(coded(text), None, "{text}");
        }
    }
}
