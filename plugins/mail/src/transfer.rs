//! Content transfer encodings, read leniently: damage costs the damaged characters, not the text.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;

/// Undoes the transfer encoding. The flag tells whether the bytes kept to it.
pub(crate) fn decode<'a>(bytes: &'a [u8], encoding: &str) -> (Cow<'a, [u8]>, bool) {
    match encoding.trim() {
        "base64" => match base64_decode(bytes) {
            Some(decoded) => (decoded.into(), true),
            None => (base64_lenient(bytes).into(), false),
        },
        "quoted-printable" => (quoted_printable(bytes).into(), true),
        _ => (bytes.into(), true),
    }
}

/// Base64 with everything skipped that is no base64, such as a footer that a list server appended.
pub(crate) fn base64_lenient(bytes: &[u8]) -> Vec<u8> {
    let mut clean: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        .collect();
    // A single left-over digit holds no whole byte.
    if clean.len() % 4 == 1 {
        clean.pop();
    }
    while !clean.len().is_multiple_of(4) {
        clean.push(b'=');
    }
    base64_decode(&clean).unwrap_or_else(|| bytes.to_vec())
}

/// Quoted-printable; an `=` that begins nothing stays an `=`.
pub(crate) fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'=' {
            out.push(first);
            continue;
        }
        if let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else if let Some(after) = soft_break(tail) {
            rest = after;
        } else {
            out.push(first);
        }
    }
    out
}

/// What follows a soft line break, which may have blanks before its line end.
fn soft_break(tail: &[u8]) -> Option<&[u8]> {
    let blanks = tail.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
    match tail.get(blanks..)? {
        [b'\n', after @ ..] => Some(after),
        [] => Some(&[]),
        _ => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_survives_damage() {
        assert_eq!(quoted_printable(b"=D9=85=D8=B1=\r\n=D8=AD =\nok"), "مرح ok".as_bytes());
        assert_eq!(quoted_printable(b"1 + 1 = 2 =ZZ 3="), b"1 + 1 = 2 =ZZ 3");
    }

    #[test]
    fn base64_survives_damage() {
        let (whole, clean) = decode(b"2YXYsdit\r\n2KjYpw==\r\n", "base64");
        assert_eq!((whole.as_ref(), clean), ("مرحبا".as_bytes(), true));
        let (damaged, clean) = decode(b"2YXYsdit\n**2KjYpw**", "base64");
        assert_eq!((damaged.as_ref(), clean), ("مرحبا".as_bytes(), false));
    }
}
