//! Which mail this is, and which conversation it belongs to.
//!
//! `Message-ID` alone is no identity: careless mailers reuse it, and anybody can send a mail that carries the id of
//! somebody else's. The external id therefore adds the first half of a hash over what the sender wrote. Identical
//! mails are one item wherever they were found; different mails that share an id are different items, and none of
//! them can overwrite another.

use sha2::{Digest, Sha256};

use crate::fields::Fields;

/// Identity and threading of one mail.
#[derive(Debug, PartialEq)]
pub(crate) struct Identity {
    /// `<message id>#<16 hex digits>`, or `sha:<64 hex digits>` for a mail without a usable `Message-ID`.
    pub(crate) external_id: String,
    /// The id of the first mail of the conversation, as far as this mail tells.
    pub(crate) thread_id: String,
    /// The `Message-ID` of the mail that this one answers.
    pub(crate) in_reply_to: Option<String>,
}

/// Derives the identity from header and body as they stand in the mail, so that it does not change when a later
/// version of this plugin reads bodies better.
pub(crate) fn identify(fields: &Fields<'_>, body: &[u8]) -> Identity {
    let digest = fingerprint(fields, body);
    let own = fields.ids("message-id").into_iter().next();
    let external_id = match &own {
        Some(id) => format!("{id}#{}", digest.get(..16).unwrap_or(&digest)),
        None => format!("sha:{digest}"),
    };
    let references = fields.ids("references");
    let answers = fields.ids("in-reply-to");
    let in_reply_to = answers.first().or(references.last()).cloned();
    let thread_id = references
        .into_iter()
        .chain(answers)
        .next()
        .or(own)
        .unwrap_or_else(|| external_id.clone());
    Identity {
        external_id,
        thread_id,
        in_reply_to,
    }
}

/// SHA-256 over author, date, subject and body. Trace fields are left out (they differ between two copies of one
/// mail), and so are line ends and blanks at the end (they differ between file formats).
fn fingerprint(fields: &Fields<'_>, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for name in ["from", "date", "subject"] {
        for word in fields.raw(name).unwrap_or_default().split(u8::is_ascii_whitespace) {
            if !word.is_empty() {
                hash.update(word);
                hash.update(b" ");
            }
        }
        hash.update(b"\n");
    }
    let body = body.trim_ascii_end();
    for line in body.split(|byte| *byte == b'\n') {
        hash.update(line.strip_suffix(b"\r").unwrap_or(line));
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(mail: &str) -> Identity {
        let (fields, body) = Fields::split(mail.as_bytes());
        identify(&fields, body)
    }

    #[test]
    fn copies_are_one_mail_whatever_way_they_came() {
        let direct = identity("Received: by a\r\nMessage-ID: <1@x>\r\nSubject: طلب\r\n\r\nنص\r\n");
        let stored = identity("Message-ID: <1@x>\nSubject:  طلب\n\nنص\n\n");
        assert_eq!(direct, stored);
        assert!(direct.external_id.starts_with("1@x#"), "{}", direct.external_id);
    }

    #[test]
    fn different_mails_with_one_id_stay_apart() {
        let first = identity("Message-ID: <1@x>\n\nالأولى");
        let second = identity("Message-ID: <1@x>\n\nالثانية");
        assert_ne!(first.external_id, second.external_id);
        assert_eq!(first.thread_id, second.thread_id);
    }

    #[test]
    fn a_missing_id_is_made_of_the_content() {
        let made = identity("Subject: x\n\nنص");
        assert_eq!(made.external_id.len(), 4 + 64);
        assert_eq!(made.thread_id, made.external_id);
        assert_eq!(made, identity("Subject: x\n\nنص"));
        assert!(
            identity("Message-ID: < not an id >\n\nx")
                .external_id
                .starts_with("sha:")
        );
    }

    #[test]
    fn threads_follow_references_then_reply_then_the_mail_itself() {
        let root = |mail: &str| identity(mail).thread_id;
        assert_eq!(
            root("Message-ID: <3@x>\nReferences: <1@x> <2@x>\nIn-Reply-To: <2@x>\n\n"),
            "1@x"
        );
        assert_eq!(root("Message-ID: <3@x>\nIn-Reply-To: <2@x>\n\n"), "2@x");
        assert_eq!(root("Message-ID: <3@x>\n\n"), "3@x");
        let answer = identity("Message-ID: <3@x>\nReferences: <1@x> <2@x>\n\n");
        assert_eq!(answer.in_reply_to.as_deref(), Some("2@x"));
    }
}
