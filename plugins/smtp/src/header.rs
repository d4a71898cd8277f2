//! Header fields: one line of meaning each, whatever stood in what they are made of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::address::Mailbox;

/// Bytes of text in one encoded word: with the longest of our field names before it, a line stays below 76 letters.
const WORD_BYTES: usize = 39;
/// Text of this length stands on one line as it is, if it can.
const PLAIN_BYTES: usize = 60;

/// A field of free text, such as a subject.
pub(crate) fn text(name: &str, value: &str) -> String {
    format!("{name}: {}\r\n", phrase(value, false))
}

/// A field of addresses.
pub(crate) fn mailboxes(name: &str, list: &[Mailbox]) -> String {
    let shown: Vec<String> = list.iter().map(mailbox).collect();
    format!("{name}: {}\r\n", shown.join(",\r\n "))
}

/// A field whose value we have made, of letters that need no care.
pub(crate) fn token(name: &str, value: &str) -> String {
    format!("{name}: {}\r\n", one_line(value))
}

fn mailbox(mailbox: &Mailbox) -> String {
    match &mailbox.name {
        Some(name) => format!("{}\r\n <{}>", phrase(name, true), mailbox.address),
        None => mailbox.address.clone(),
    }
}

/// Text as it is where that is safe, else as encoded words (RFC 2047).
fn phrase(value: &str, quoted: bool) -> String {
    let value = one_line(value);
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !(quoted && matches!(byte, b'"' | b'\\'));
    let is_plain = value.len() <= PLAIN_BYTES && value.bytes().all(plain) && !value.contains("=?");
    match (is_plain, quoted) {
        (true, false) => value,
        (true, true) => format!("\"{value}\""),
        (false, _) => encoded(&value),
    }
}

fn encoded(value: &str) -> String {
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (word, after) = rest.split_at_checked(boundary(rest, WORD_BYTES)).unwrap_or((rest, ""));
        words.push(format!("=?UTF-8?B?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

/// The last place between two letters within so many bytes.
fn boundary(text: &str, bytes: usize) -> usize {
    (0..=bytes.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// The text on one line: whatever could end one, or steer a terminal, is a space.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|letter| match letter {
            '\u{2028}' | '\u{2029}' => ' ',
            letter if letter.is_control() => ' ',
            letter => letter,
        })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn simple_text_stays_readable_and_the_rest_is_encoded() {
        assert_eq!(text("Subject", "Late order 42"), "Subject: Late order 42\r\n");
        assert_eq!(
            text("Subject", "شكوى"),
            format!("Subject: =?UTF-8?B?{}?=\r\n", STANDARD.encode("شكوى"))
        );
        let named = Mailbox {
            name: Some("O\"Brien".into()),
            address: "a@b.example".into(),
        };
        assert!(mailboxes("To", &[named]).starts_with("To: =?UTF-8?B?"));
        assert!(text("Subject", "=?UTF-8?B?x?=").starts_with("Subject: =?UTF-8?B?PT9V"));
    }

    proptest! {
        /// Whatever stands in a value, it ends no line but by the folding, and no line is too long.
        #[test]
        fn no_value_begins_a_field_of_its_own(value in "(\\PC|[\r\n\t\0]|[ء-ي]|=\\?){0,200}") {
            let field = text("Subject", &value);
            let mut lines = field.split("\r\n");
            prop_assert!(lines.next().unwrap().starts_with("Subject: "));
            prop_assert!(field.ends_with("\r\n"));
            for line in field.trim_end_matches("\r\n").split("\r\n") {
                prop_assert!(line.is_ascii() && line.len() <= 76, "{:?}", line);
                prop_assert!(line.starts_with("Subject: ") || line.starts_with(" =?UTF-8?B?"), "{:?}", line);
                prop_assert!(!line.contains(['\r', '\n', '\0']));
            }
        }

        /// What a reader of mail makes of it is the text itself, on one line.
        #[test]
        fn a_reader_gets_the_text_back(value in "[a-zA-Zء-ي0-9 :;,.!?\r\n-]{1,120}") {
            let mail = format!("{}From: a@b.example\r\n\r\nx\r\n", text("Subject", &value));
            let parsed = mail_parser::MessageParser::default().parse(mail.as_bytes()).unwrap();
            prop_assert_eq!(parsed.subject().unwrap_or_default(), one_line(&value));
        }
    }
}
