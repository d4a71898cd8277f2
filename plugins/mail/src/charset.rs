//! Bytes to text, whatever the sender claims about them.
//!
//! Text is never lost: where the declared character set is missing, unknown or contradicted by the bytes, the best
//! reading is taken and [`Reading::certain`] says that it was a guess.

use mail_parser::decoders::charsets::{DecoderFnc, map::charset_decoder};

/// What to do with bytes whose character set nobody knows.
#[derive(Clone, Copy)]
pub(crate) enum Fallback {
    /// Windows-1256 when most letters lie beyond ASCII (Arabic), else Windows-1252.
    Guess,
    /// The character set that the admin named.
    Fixed(DecoderFnc),
}

impl Fallback {
    /// Reads the setting; `None` when no such character set is known.
    pub(crate) fn from_setting(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("auto") {
            return Some(Self::Guess);
        }
        decoder_for(&name.to_ascii_lowercase()).map(Self::Fixed)
    }

    fn decode(self, bytes: &[u8]) -> String {
        let decoder = match self {
            Self::Fixed(decoder) => Some(decoder),
            Self::Guess => charset_decoder(guessed(bytes).as_bytes()),
        };
        decoder.map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), |decode| decode(bytes))
    }
}

/// A text with the answer to "was this a guess?".
pub(crate) struct Reading {
    pub(crate) text: String,
    pub(crate) certain: bool,
}

impl Reading {
    fn certain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            certain: true,
        }
    }

    fn guess(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            certain: false,
        }
    }
}

/// Reads `bytes` in the `declared` character set, if that can be right.
pub(crate) fn decode(bytes: &[u8], declared: Option<&str>, fallback: Fallback) -> Reading {
    let declared = declared
        .map(|name| name.trim().trim_matches(['"', '\'']).to_ascii_lowercase())
        .filter(|name| !name.is_empty());
    match declared.as_deref() {
        None | Some("us-ascii" | "ascii" | "ansi_x3.4-1968" | "7bit" | "8bit") => undeclared(bytes, fallback),
        Some(name) if is_utf8(name) => utf8(bytes, fallback),
        Some("iso-8859-1" | "latin1" | "windows-1252" | "cp1252" | "iso-8859-15")
            if !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok() =>
        {
            // Valid multi-byte UTF-8 does not come about by chance: the label is wrong.
            Reading::certain(String::from_utf8_lossy(bytes))
        }
        Some(name) => match decoder_for(name) {
            Some(decode) => labelled(bytes, name, decode),
            None if bytes.is_ascii() => Reading::guess(String::from_utf8_lossy(bytes)),
            None => Reading {
                certain: false,
                ..undeclared(bytes, fallback)
            },
        },
    }
}

fn is_utf8(name: &str) -> bool {
    matches!(
        name,
        "utf-8" | "utf8" | "utf_8" | "unicode-1-1-utf-8" | "x-unicode20utf8" | "cesu-8"
    )
}

/// `None` also for sets whose decoder would throw the text away.
fn decoder_for(name: &str) -> Option<DecoderFnc> {
    const TEXT_IS_LOST: [&str; 8] = [
        "replacement",
        "iso-2022-kr",
        "csiso2022kr",
        "iso-2022-cn",
        "iso-2022-cn-ext",
        "hz-gb-2312",
        "x-user-defined",
        "iso_2022_kr",
    ];
    if name.len() > 40 || TEXT_IS_LOST.contains(&name) {
        return None;
    }
    charset_decoder(name.as_bytes())
}

fn labelled(bytes: &[u8], name: &str, decode: DecoderFnc) -> Reading {
    let wide = name.starts_with("utf-16") || name.starts_with("ucs-2") || name == "unicode";
    if wide && !bytes.contains(&0) {
        // Two-byte text of any script holds zero bytes sooner or later; this is one-byte text with a wrong label.
        return undeclared(bytes, Fallback::Guess);
    }
    let text = decode(bytes);
    let certain = !text.contains(char::REPLACEMENT_CHARACTER);
    Reading { text, certain }
}

fn undeclared(bytes: &[u8], fallback: Fallback) -> Reading {
    match std::str::from_utf8(bytes) {
        Ok(text) => Reading::certain(text.trim_start_matches('\u{feff}')),
        Err(_) => Reading::guess(fallback.decode(bytes)),
    }
}

fn utf8(bytes: &[u8], fallback: Fallback) -> Reading {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Reading::certain(text.trim_start_matches('\u{feff}'));
    }
    let repaired = join_surrogates(bytes);
    let text = String::from_utf8_lossy(&repaired);
    let broken = text.matches(char::REPLACEMENT_CHARACTER).count();
    if broken == 0 {
        return Reading::guess(text);
    }
    let beyond_ascii = text.chars().filter(|c| !c.is_ascii()).count();
    // A few damaged characters in good UTF-8 stay visible as such. Mostly damage means another character set.
    if broken * 2 > beyond_ascii {
        Reading::guess(fallback.decode(bytes))
    } else {
        Reading::guess(text)
    }
}

/// CESU-8 writes a character beyond U+FFFF as two three-byte surrogates. Pairs become the character that was meant;
/// everything else is left alone.
fn join_surrogates(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if let [
            0xed,
            a @ 0xa0..=0xaf,
            b @ 0x80..=0xbf,
            0xed,
            c @ 0xb0..=0xbf,
            d @ 0x80..=0xbf,
            after @ ..,
        ] = rest
        {
            let high = (u32::from(*a & 0x0f) << 6) | u32::from(*b & 0x3f);
            let low = (u32::from(*c & 0x0f) << 6) | u32::from(*d & 0x3f);
            if let Some(joined) = char::from_u32(0x1_0000 + (high << 10) + low) {
                out.extend_from_slice(joined.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
                continue;
            }
        }
        out.push(first);
        rest = tail;
    }
    out
}

fn guessed(bytes: &[u8]) -> &'static str {
    let high = bytes.iter().filter(|b| **b >= 0x80).count();
    let latin = bytes.iter().filter(|b| b.is_ascii_alphabetic()).count();
    // Accented letters are rare in Western text; in Arabic nearly every letter is beyond ASCII.
    if high * 2 > latin {
        "windows-1256"
    } else {
        "windows-1252"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], declared: Option<&str>, text: &str, certain: bool) {
        let reading = decode(bytes, declared, Fallback::Guess);
        assert_eq!((reading.text.as_str(), reading.certain), (text, certain));
    }

    const MARHABA_1256: &[u8] = b"\xe3\xd1\xcd\xc8\xc7";

    #[test]
    fn declared_sets_are_used() {
        check(MARHABA_1256, Some("windows-1256"), "مرحبا", true);
        check(b"\xe5\xd1\xcd\xc8\xc7", Some("\"ISO-8859-6\""), "مرحبا", true);
        check("مرحبا".as_bytes(), Some("UTF-8"), "مرحبا", true);
        check(b"caf\xe9", Some("iso-8859-1"), "café", true);
        check(b"\xcf\xf0\xe8\xe2\xe5\xf2", Some("cp1251"), "Привет", true);
    }

    #[test]
    fn wrong_labels_are_seen_through() {
        check("مرحبا".as_bytes(), Some("us-ascii"), "مرحبا", true);
        check("مرحبا".as_bytes(), Some("iso-8859-1"), "مرحبا", true);
        check(b"plain", Some("utf-16"), "plain", true);
        check(MARHABA_1256, Some("utf-8"), "مرحبا", false);
    }

    #[test]
    fn unknown_and_missing_sets_lose_nothing() {
        check(MARHABA_1256, None, "مرحبا", false);
        check(b"caf\xe9 au lait", Some("x-klingon"), "café au lait", false);
        check(b"late", Some("x-klingon"), "late", false);
        check(b"late again", Some("iso-2022-kr"), "late again", false);
        check(b"late", None, "late", true);
    }

    #[test]
    fn some_damage_in_good_utf8_stays_visible() {
        let mut bytes = "الخدمة متأخرة".as_bytes().to_vec();
        bytes.push(0xd8);
        check(&bytes, Some("utf-8"), "الخدمة متأخرة\u{fffd}", false);
    }

    #[test]
    fn surrogate_pairs_are_joined_and_lone_ones_shown() {
        check(b"ok \xed\xa0\xbd\xed\xb8\x80", Some("utf-8"), "ok \u{1f600}", false);
        let lone = decode(
            "الخدمة متأخرة "
                .bytes()
                .chain([0xed, 0xa0, 0xbd])
                .collect::<Vec<_>>()
                .as_slice(),
            Some("utf-8"),
            Fallback::Guess,
        );
        assert!(lone.text.starts_with("الخدمة متأخرة \u{fffd}"));
    }

    #[test]
    fn the_admin_may_name_the_fallback() {
        let fixed = Fallback::from_setting("windows-1251").unwrap();
        assert_eq!(decode(b"\xcf\xf0\xe8\xe2\xe5\xf2", None, fixed).text, "Привет");
        assert!(Fallback::from_setting("klingon").is_none());
    }
}
