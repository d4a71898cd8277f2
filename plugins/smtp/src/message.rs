//! A mail as bytes: fields, and the same words as text and as HTML.
//!
//! Both parts are base64: no line is too long, none begins with a dot, and no server on the way has reason to change one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::address::Mailbox;
use crate::header;

/// Letters of base64 on one line.
const LINE: usize = 76;

/// What a mail is made of.
pub(crate) struct Parts<'a> {
    pub(crate) from: &'a Mailbox,
    pub(crate) to: &'a [Mailbox],
    pub(crate) subject: &'a str,
    /// As RFC 5322 writes it.
    pub(crate) date: &'a str,
    /// With its angle brackets.
    pub(crate) id: &'a str,
    /// The id of the mail that this one belongs to.
    pub(crate) answers: Option<&'a str>,
    pub(crate) language: &'a str,
    pub(crate) text: &'a str,
    pub(crate) html: &'a str,
}

/// A mail, ready to be handed over.
pub(crate) struct Message {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) bytes: Vec<u8>,
    /// Whether an address in it has letters that only servers with SMTPUTF8 take.
    pub(crate) needs_utf8: bool,
}

impl Message {
    pub(crate) fn of(parts: &Parts<'_>) -> Self {
        let boundary = boundary(parts.id);
        let mut mail = String::new();
        mail.push_str(&header::mailboxes("From", std::slice::from_ref(parts.from)));
        mail.push_str(&header::mailboxes("To", parts.to));
        mail.push_str(&header::text("Subject", parts.subject));
        mail.push_str(&header::token("Date", parts.date));
        mail.push_str(&header::token("Message-ID", parts.id));
        if let Some(first) = parts.answers {
            mail.push_str(&header::token("In-Reply-To", first));
            mail.push_str(&header::token("References", first));
        }
        // RFC 3834: nobody's absence is to be told to us.
        mail.push_str(&header::token("Auto-Submitted", "auto-generated"));
        mail.push_str(&header::token("Content-Language", parts.language));
        mail.push_str(&header::token("MIME-Version", "1.0"));
        mail.push_str(&format!(
            "Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n"
        ));
        for (kind, words) in [("plain", parts.text), ("html", parts.html)] {
            mail.push_str(&format!(
                "--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            ));
            push_lines(&mut mail, &STANDARD.encode(with_crlf(words)));
        }
        mail.push_str(&format!("--{boundary}--\r\n"));
        let everybody = || std::iter::once(parts.from).chain(parts.to);
        Self {
            from: parts.from.address.clone(),
            to: parts.to.iter().map(|mailbox| mailbox.address.clone()).collect(),
            bytes: mail.into_bytes(),
            needs_utf8: everybody().any(|mailbox| !mailbox.address.is_ascii()),
        }
    }

    /// As it goes over the line: a dot more where a line begins with one, and the lone dot that ends it (RFC 5321,
    /// section 4.5.2).
    pub(crate) fn stuffed(&self) -> Vec<u8> {
        stuffed(&self.bytes)
    }
}

fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(mail.len() + 8);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.is_empty() && !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

/// Unlike anything in base64, and the same for the same mail.
fn boundary(id: &str) -> String {
    let plain: String = id
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .take(50)
        .collect();
    format!("=_{plain}")
}

/// Base64 is letters alone, so that its bytes are its letters.
fn push_lines(mail: &mut String, coded: &str) {
    let mut letters = coded.chars().peekable();
    while letters.peek().is_some() {
        mail.extend(letters.by_ref().take(LINE));
        mail.push_str("\r\n");
    }
}

fn with_crlf(text: &str) -> String {
    text.lines().flat_map(|line| [line, "\r\n"]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lone_dot_ends_nothing() {
        assert_eq!(stuffed(b"a\r\n.\r\n..b\r\n"), b"a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(stuffed(b"open"), b"open\r\n.\r\n");
        assert_eq!(stuffed(b""), b".\r\n");
    }

    proptest! {
        /// What the server makes of it is what was meant, and it ends where it was to end.
        #[test]
        fn stuffing_can_be_undone(lines in prop::collection::vec("[.a-z\u{0}ش]{0,6}", 0..8)) {
            let mail: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let sent = stuffed(mail.as_bytes());
            let sent = String::from_utf8(sent).unwrap();
            let mut got = String::new();
            let mut ended = 0;
            for line in sent.split_inclusive("\r\n") {
                prop_assert_eq!(ended, 0);
                match line.strip_prefix('.') {
                    Some("\r\n") => ended += 1,
                    Some(rest) => got.push_str(rest),
                    None => got.push_str(line),
                }
            }
            prop_assert_eq!((got, ended), (mail, 1));
        }
    }
}
