//! Mail that no person wrote: bounces, automatic replies, mailing lists.

use crate::fields::Fields;

/// What the header says about who sent the mail. Each becomes a tag.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Origin {
    pub(crate) is_bounce: bool,
    pub(crate) is_auto_reply: bool,
    pub(crate) is_list: bool,
}

/// Judges by the header alone. `subject` and `sender` (an address) are already decoded.
pub(crate) fn judge(fields: &Fields<'_>, subject: &str, sender: &str) -> Origin {
    let is_bounce = is_bounce(fields, subject, sender);
    Origin {
        is_bounce,
        is_auto_reply: !is_bounce && is_auto_reply(fields, subject),
        is_list: is_list(fields),
    }
}

fn is_bounce(fields: &Fields<'_>, subject: &str, sender: &str) -> bool {
    let content_type = fields.keyword("content-type");
    let is_report = content_type.starts_with("multipart/report");
    if is_report && content_type.contains("delivery-status") || fields.has("x-failed-recipients") {
        return true;
    }
    // A read receipt has no return path either, and tells that the mail did arrive.
    if is_report && content_type.contains("disposition-notification") {
        return false;
    }
    let answered = fields.keyword("auto-submitted").starts_with("auto-replied") || is_auto_reply_subject(subject);
    let has_no_return = fields.raw("return-path").is_some_and(|path| path == b"<>");
    let local = sender.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let from_daemon = local == "mailer-daemon" || (local == "postmaster" && is_bounce_subject(subject));
    from_daemon || (has_no_return && !answered)
}

fn is_bounce_subject(subject: &str) -> bool {
    const WORDS: [&str; 9] = [
        "undeliver",
        "delivery status",
        "delivery failure",
        "delivery notification",
        "returned mail",
        "failure notice",
        "mail delivery",
        "تعذر التسليم",
        "لم يتم تسليم",
    ];
    let subject = subject.to_lowercase();
    WORDS.iter().any(|word| subject.contains(word))
}

fn is_auto_reply(fields: &Fields<'_>, subject: &str) -> bool {
    let submitted = fields.keyword("auto-submitted");
    let precedence = fields.keyword("precedence");
    (!submitted.is_empty() && !submitted.starts_with("no"))
        || matches!(precedence.as_str(), "auto_reply" | "auto-reply")
        || ["x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply-from"]
            .iter()
            .any(|name| fields.has(name) && fields.keyword(name) != "no")
        || is_auto_reply_subject(subject)
}

/// Only at the start of the subject, so that a complaint *about* automatic replies is none.
fn is_auto_reply_subject(subject: &str) -> bool {
    const STARTS: [&str; 16] = [
        "out of office",
        "out of the office",
        "out-of-office",
        "automatic reply",
        "automated reply",
        "auto reply",
        "auto-reply",
        "autoreply",
        "auto response",
        "auto-response",
        "vacation reply",
        "رد تلقائي",
        "رد آلي",
        "الرد التلقائي",
        "الرد الآلي",
        "خارج المكتب",
    ];
    let subject = plain_arabic(&subject.to_lowercase());
    let subject = subject.trim_start_matches("re:").trim_start();
    STARTS.iter().any(|start| subject.starts_with(&plain_arabic(start)))
}

/// Spellings that are mixed up in practice are made equal, and vowel signs dropped.
fn plain_arabic(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\u{64b}'..='\u{652}' | '\u{640}'))
        .map(|c| match c {
            'أ' | 'إ' | 'آ' => 'ا',
            'ى' => 'ي',
            c => c,
        })
        .collect()
}

fn is_list(fields: &Fields<'_>) -> bool {
    ["list-id", "list-post", "mailing-list", "x-mailing-list"]
        .iter()
        .any(|name| fields.has(name))
        || fields.keyword("precedence") == "list"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, subject: &str, sender: &str, tags: &str) {
        let mail = format!("Subject: x\n{header}\n\n");
        let origin = judge(&Fields::split(mail.as_bytes()).0, subject, sender);
        let mut found = String::new();
        for (is, tag) in [
            (origin.is_bounce, 'b'),
            (origin.is_auto_reply, 'a'),
            (origin.is_list, 'l'),
        ] {
            if is {
                found.push(tag);
            }
        }
        assert_eq!(found, tags, "{header} {subject} {sender}");
    }

    #[test]
    fn bounces() {
        check(
            "Content-Type: multipart/report; report-type=delivery-status",
            "x",
            "a@b",
            "b",
        );
        check("Return-Path: <>", "x", "a@b", "b");
        check("X-a: b", "Anything", "MAILER-DAEMON@mx.example", "b");
        check("X-a: b", "تعذر التسليم: طلبكم", "postmaster@mx.example", "b");
        check("X-a: b", "Question", "postmaster@mx.example", "");
        check(
            "Content-Type: multipart/report; report-type=disposition-notification",
            "x",
            "a@b",
            "",
        );
        check(
            "Return-Path: <>\nContent-Type: multipart/report;\n report-type=disposition-notification; boundary=q",
            "تمت القراءة: طلبكم",
            "a@b",
            "",
        );
    }

    #[test]
    fn automatic_replies() {
        check("Auto-Submitted: auto-replied", "x", "a@b", "a");
        check("Auto-Submitted: no", "x", "a@b", "");
        check("Precedence: auto_reply", "x", "a@b", "a");
        check("X-Autoreply: yes", "x", "a@b", "a");
        check("Return-Path: <>", "Out of Office: back Sunday", "a@b", "a");
        check("X-a: b", "Re: رَدّ تلقائى: أنا في إجازة", "a@b", "a");
        check("X-a: b", "خارج المكتب حتى الأحد", "a@b", "a");
        check("X-a: b", "Your automatic reply never ends", "a@b", "");
    }

    #[test]
    fn lists() {
        check("List-Id: <offers.example>", "x", "a@b", "l");
        check("Precedence: list", "x", "a@b", "l");
        check("Precedence: bulk\nList-Unsubscribe: <mailto:x>", "x", "a@b", "");
    }
}
