//! RFC 2047 encoded words as mailers really write them.
//!
//! The parser decodes each word by itself. Many mailers cut long Arabic subjects in the middle of a character, put
//! raw 8-bit bytes into headers or name character sets that nobody knows; such values are rewritten here into
//! clean UTF-8 encoded words before they are parsed.

use std::{borrow::Cow, fmt::Write as _};

use mail_parser::decoders::base64::base64_decode;

use crate::{
    charset::{self, Fallback},
    transfer,
};

struct Word<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
    /// What follows the word.
    rest: &'a [u8],
}

/// The value in a form that the parser reads right, and whether every character set was known.
pub(crate) fn readable(value: &[u8], fallback: Fallback) -> (Cow<'_, [u8]>, bool) {
    if value.is_ascii() && !value.windows(2).any(|pair| pair == b"=?") {
        return (value.into(), true);
    }
    let mut out = String::with_capacity(value.len() * 2);
    let mut certain = true;
    let mut plain_from = 0;
    let mut at = 0;
    while at < value.len() {
        let rest = value.get(at..).unwrap_or_default();
        let Some(first) = word(rest) else {
            at += 1;
            continue;
        };
        certain &= push_plain(&mut out, value.get(plain_from..at).unwrap_or_default(), fallback);
        let (charset, bytes, rest) = join_following(first);
        let reading = charset::decode(&bytes, Some(charset), fallback);
        certain &= reading.certain;
        push_word(&mut out, &reading.text);
        at = value.len() - rest.len();
        plain_from = at;
    }
    certain &= push_plain(&mut out, value.get(plain_from..).unwrap_or_default(), fallback);
    (out.into_bytes().into(), certain)
}

/// Words of one character set that stand next to each other are one text: a character may be cut in two between them.
fn join_following(first: Word<'_>) -> (&str, Vec<u8>, &[u8]) {
    let Word {
        charset,
        mut bytes,
        mut rest,
    } = first;
    while let Some(next) = word(rest.trim_ascii_start()) {
        if !next.charset.eq_ignore_ascii_case(charset) {
            break;
        }
        bytes.extend_from_slice(&next.bytes);
        rest = next.rest;
    }
    (charset, bytes, rest)
}

/// The encoded word with which `text` begins.
fn word(text: &[u8]) -> Option<Word<'_>> {
    let inner = text.strip_prefix(b"=?")?;
    let (charset, inner) = split_at_mark(inner)?;
    let (encoding, inner) = split_at_mark(inner)?;
    let end = inner.windows(2).position(|pair| pair == b"?=")?;
    let payload = inner.get(..end)?;
    if payload.contains(&b'\n') || charset.is_empty() || !charset.is_ascii() {
        return None;
    }
    let bytes = match encoding {
        b"b" | b"B" => base64_decode(payload).unwrap_or_else(|| transfer::base64_lenient(payload)),
        b"q" | b"Q" => {
            let spaced: Vec<u8> = payload.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
            transfer::quoted_printable(&spaced)
        }
        _ => return None,
    };
    let charset = std::str::from_utf8(charset).ok()?;
    // RFC 2231 allows a language after the character set: `utf-8*ar`.
    let charset = charset.split('*').next().unwrap_or(charset);
    Some(Word {
        charset,
        bytes,
        rest: inner.get(end + 2..)?,
    })
}

fn split_at_mark(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const MAX: usize = 64;
    let at = text.iter().take(MAX).position(|byte| *byte == b'?')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn push_plain(out: &mut String, bytes: &[u8], fallback: Fallback) -> bool {
    let reading = charset::decode(bytes, None, fallback);
    out.push_str(&reading.text);
    reading.certain
}

fn push_word(out: &mut String, text: &str) {
    if out.ends_with("?=") {
        out.push(' ');
    }
    out.push_str("=?utf-8?Q?");
    for byte in text.bytes() {
        // Writing to a string cannot fail.
        let _infallible = write!(out, "={byte:02X}");
    }
    out.push_str("?=");
}

#[cfg(test)]
mod tests {
    use crate::fields::Fields;

    use super::*;

    #[track_caller]
    fn subject(value: &[u8]) -> (String, bool) {
        let mail = [b"Subject: ", value, b"\n\n"].concat();
        let (fields, _) = Fields::split(&mail);
        let text = fields.text("subject", Fallback::Guess).unwrap();
        (text.text, text.certain)
    }

    #[test]
    fn a_character_cut_between_two_words_is_whole_again() {
        // "شكوى": the second byte of its last letter stands in the second word.
        let value = b"=?UTF-8?B?2LTZg9mI2Q==?=\r\n =?utf-8?Q?=89?= late";
        assert_eq!(subject(value), ("شكوى late".to_owned(), true));
    }

    #[test]
    fn raw_bytes_and_unknown_sets_are_readable() {
        assert_eq!(subject(b"\xe3\xd1\xcd\xc8\xc7"), ("مرحبا".to_owned(), false));
        assert_eq!(subject("مرحبا".as_bytes()), ("مرحبا".to_owned(), true));
        assert_eq!(subject(b"=?x-klingon?Q?Qapla=27?="), ("Qapla'".to_owned(), false));
    }

    #[test]
    fn damaged_words_stay_as_they_are() {
        assert_eq!(subject(b"=?utf-8?B?never closed").0, "=?utf-8?B?never closed");
        assert_eq!(subject(b"=?utf-8?X?odd?=").0, "=?utf-8?X?odd?=");
        assert_eq!(
            subject(b"a =?windows-1256?Q?=E3=D1?= =?iso-8859-1?Q?caf=E9?=").0,
            "a مرcafé"
        );
    }
}
