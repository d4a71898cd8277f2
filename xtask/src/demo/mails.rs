//! The demo's mails: conversations in many dresses, attachments, an automatic reply, bounces, and an older mbox.

use anyhow::{Context, Result};

use super::dates::Moment;
use super::mime::{Attachment, Dress, Part, header, is_arabic};
use super::texts::{Conversation, People, Person};

const HOUR: i64 = 3_600;
const CARE: &str = "care@waha.example.com";

/// A mail with its name and time.
#[derive(Debug)]
pub(super) struct Mail {
    /// File name without its end.
    pub(super) name: String,
    /// Who sent it.
    pub(super) sender: String,
    /// When.
    pub(super) at: Moment,
    /// The whole of it.
    pub(super) bytes: Vec<u8>,
}

/// The mails of all conversations, Arabic and English ones mixed, from `begin` on.
pub(super) fn conversations(
    people: &People,
    all: &[Vec<Conversation>],
    prefix: &str,
    begin: Moment,
) -> Result<Vec<Mail>> {
    let longest = all.iter().map(Vec::len).max().unwrap_or(0);
    let mixed = (0..longest).flat_map(|at| all.iter().filter_map(move |list| list.get(at)));
    let mut mails = Vec::new();
    for (number, conversation) in (0_i64..).zip(mixed) {
        let author = people.get(&conversation.author).context("a mail is by nobody")?;
        let at = begin.plus(number * 15 * HOUR + number * 1_237 % (3 * HOUR) + 6 * HOUR);
        mails.extend(thread(
            conversation,
            author,
            &format!("{prefix}{:03}", number + 1),
            number,
            at,
        ));
    }
    Ok(mails)
}

/// One conversation. The company's own mails are not in its inbox, but customers quote them.
fn thread(conversation: &Conversation, author: &Person, name: &str, number: i64, begin: Moment) -> Vec<Mail> {
    let arabic = is_arabic(&conversation.subject);
    let mut references: Vec<String> = Vec::new();
    let mut quoted = String::new();
    let mut mails = Vec::new();
    for (turn_number, turn) in (0_i64..).zip(&conversation.turns) {
        let at = begin.plus(turn_number * 19 * HOUR);
        let domain = if turn.by_agent {
            "waha.example.com"
        } else {
            "mail.example.net"
        };
        let id = format!("<{name}.{turn_number}.{}@{domain}>", at.seconds());
        if turn.by_agent {
            quoted = quote(&turn.text, at, arabic);
        } else {
            let text = if quoted.is_empty() {
                turn.text.clone()
            } else {
                format!("{}\n\n{quoted}", turn.text)
            };
            let subject = if turn_number == 0 {
                conversation.subject.clone()
            } else {
                format!("Re: {}", conversation.subject)
            };
            let letter = Letter {
                author,
                subject: &subject,
                text: &text,
                id: &id,
                references: &references,
                at,
            };
            let name = if turn_number == 0 {
                name.to_owned()
            } else {
                format!("{name}-{turn_number}")
            };
            let bytes = letter.bytes(dress(number + turn_number, arabic), attachment(&turn.text, number));
            mails.push(Mail {
                name,
                sender: author.address.clone(),
                at,
                bytes,
            });
        }
        references.push(id);
    }
    mails
}

fn dress(number: i64, arabic: bool) -> Dress {
    match (number / 2 % 6, arabic) {
        (0, _) => Dress::Base64,
        (1, _) => Dress::Alternative,
        (2, _) => Dress::QuotedPrintable,
        (3, true) => Dress::Windows1256,
        (4, _) => Dress::HtmlOnly,
        _ => Dress::Plain,
    }
}

fn quote(text: &str, at: Moment, arabic: bool) -> String {
    let head = if arabic {
        "كتبت خدمة عملاء واحة"
    } else {
        "Waha customer care wrote"
    };
    let lines: String = text.lines().map(|line| format!("> {line}\n")).collect();
    format!("{head} ({}):\n{}", at.cdr(), lines.trim_end())
}

/// A small file where the text speaks of one.
fn attachment(text: &str, number: i64) -> Option<Attachment> {
    // The smallest picture that every program shows: one grey point.
    const PNG: [u8; 67] = [
        0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00,
        0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3A, 0x7E, 0x9B, 0x55, 0x00, 0x00, 0x00,
        0x0A, 0x49, 0x44, 0x41, 0x54, 0x08, 0xD7, 0x63, 0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81, 0xDD, 0x43, 0x6A,
        0xF4, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
    ];
    let picture = |name| {
        Some(Attachment {
            name,
            media_type: "image/png",
            bytes: PNG.to_vec(),
        })
    };
    if text.contains("كشف الحساب") {
        let bytes = format!(
            "التاريخ,المبلغ,البيان\n2026-10-{:02},138.00,واحة\n2026-10-{:02},138.00,واحة\n",
            3, 3
        );
        return Some(Attachment {
            name: "كشف-الحساب.csv",
            media_type: "text/csv; charset=utf-8",
            bytes: bytes.into_bytes(),
        });
    }
    if text.contains("الصور مرفقة") || text.contains("في الصورة") {
        return picture("صورة-الضرر.png");
    }
    if text.contains("Photos attached") || (text.contains("The photo shows") && number % 2 == 1) {
        return picture("photo-1.png");
    }
    None
}

struct Letter<'t> {
    author: &'t Person,
    subject: &'t str,
    text: &'t str,
    id: &'t str,
    references: &'t [String],
    at: Moment,
}

impl Letter<'_> {
    fn bytes(&self, dress: Dress, attachment: Option<Attachment>) -> Vec<u8> {
        let seconds = self.at.seconds();
        let mut part = Part::text(dress, self.text, &format!("=_text_{seconds}"));
        if let Some(attachment) = attachment {
            let parts = [part, Part::attachment(&attachment)];
            part = Part::multipart("mixed", &format!("=_mixed_{seconds}"), &parts);
        }
        let mut head = format!(
            "From: {} <{}>\r\nTo: {CARE}\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: {}\r\n",
            header(dress, self.author.name.as_str()),
            self.author.address,
            header(dress, self.subject),
            self.at.mail("+0300"),
            self.id
        );
        if let Some(last) = self.references.last() {
            head.push_str(&format!(
                "In-Reply-To: {last}\r\nReferences: {}\r\n",
                self.references.join("\r\n ")
            ));
        }
        head.push_str("MIME-Version: 1.0\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&part.bytes());
        bytes
    }
}

/// Mail that no person wrote: an automatic reply in each language, and two bounces.
pub(super) fn automatic(begin: Moment) -> Vec<Mail> {
    let replies = [
        (
            "auto-reply-ar",
            "رد تلقائي: خارج المكتب",
            "salem.kaabi@example.org",
            "أنا في إجازة حتى الأحد القادم، وسأرد على رسالتكم عند عودتي.\n\nسالم الكعبي",
        ),
        (
            "auto-reply-en",
            "Automatic reply: out of office",
            "mark.jensen@example.org",
            "I am out of the office until Monday and will answer your message then.\n\nMark Jensen",
        ),
    ];
    let replies = (0..).zip(replies).map(|(number, (name, subject, sender, text))| {
        let at = begin.plus(number * 31 * HOUR);
        let head = format!(
            "From: {sender}\r\nTo: {CARE}\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{name}.{}@mail.example.net>\r\n\
             Auto-Submitted: auto-replied\r\nX-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n",
            header(Dress::Base64, subject),
            at.mail("+0300"),
            at.seconds()
        );
        let bytes = [head.into_bytes(), Part::text(Dress::Base64, text, "").bytes()].concat();
        Mail {
            name: name.to_owned(),
            sender: sender.to_owned(),
            at,
            bytes,
        }
    });
    let bounces = [
        ("bounce-1", "old.address@example.net"),
        ("bounce-2", "no.such.person@example.org"),
    ];
    let bounces = (2..)
        .zip(bounces)
        .map(|(number, (name, to))| bounce(name, to, begin.plus(number * 31 * HOUR)));
    replies.chain(bounces).collect()
}

fn bounce(name: &str, to: &str, at: Moment) -> Mail {
    let sender = "mailer-daemon@mx.example.net";
    let text = format!(
        "This is the mail system at mx.example.net.\n\nYour message could not be delivered to {to}:\n550 5.1.1 no such user here\n"
    );
    let status = format!(
        "Reporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    );
    let parts = [
        Part::text(Dress::Plain, &text, ""),
        Part::described("message/delivery-status", "7bit", status.into_bytes()),
    ];
    let head = format!(
        "Return-Path: <>\r\nFrom: Mail Delivery System <{sender}>\r\nTo: {CARE}\r\nSubject: Undelivered Mail Returned to Sender\r\n\
         Date: {}\r\nMessage-ID: <{name}.{}@mx.example.net>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n",
        at.mail("+0000"),
        at.seconds()
    );
    let boundary = format!("=_report_{}", at.seconds());
    let report = Part::multipart("report; report-type=delivery-status", &boundary, &parts);
    let bytes = [head.into_bytes(), report.bytes()].concat();
    Mail {
        name: name.to_owned(),
        sender: sender.to_owned(),
        at,
        bytes,
    }
}

/// Mails one after another in a file, as mail programs archive them. Lines that look like a beginning get a `>`.
pub(super) fn mbox(mails: &[Mail]) -> Vec<u8> {
    let mut file = Vec::new();
    for mail in mails {
        file.extend_from_slice(format!("From {} {}\n", mail.sender, mail.at.mbox()).as_bytes());
        for line in mail.bytes.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let unquoted = line
                .iter()
                .position(|byte| *byte != b'>')
                .map_or(&b""[..], |at| line.get(at..).unwrap_or_default());
            if unquoted.starts_with(b"From ") {
                file.push(b'>');
            }
            file.extend_from_slice(line);
            file.push(b'\n');
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::super::texts::Turn;
    use super::*;

    fn turn(by_agent: bool, text: &str) -> Turn {
        Turn {
            by_agent,
            text: text.to_owned(),
        }
    }

    #[test]
    fn an_answer_is_quoted_and_referred_to_but_not_in_the_inbox() {
        let author = Person {
            name: "Emma".into(),
            address: "e@example.com".into(),
            telephone: String::new(),
        };
        let turns = vec![
            turn(false, "Where is it?"),
            turn(true, "On its way."),
            turn(false, "It came."),
        ];
        let conversation = Conversation {
            author: "emma".into(),
            subject: "Parcel".into(),
            turns,
        };
        // The third turn of number 8 is dressed plainly, so that it can be read here.
        let mails = thread(&conversation, &author, "m1", 8, Moment::day(2026, 10, 1));
        assert_eq!(mails.len(), 2);
        let reply = String::from_utf8(mails[1].bytes.clone()).unwrap();
        assert!(reply.contains("It came.") && reply.contains("> On its way."), "{reply}");
        assert!(reply.contains("Subject: Re: Parcel"));
        let references = reply
            .split("References: ")
            .nth(1)
            .unwrap()
            .split("MIME-Version")
            .next()
            .unwrap();
        assert_eq!(references.lines().count(), 2, "{references}");
    }

    #[test]
    fn an_mbox_hides_lines_that_look_like_a_beginning() {
        let mail = Mail {
            name: "m".into(),
            sender: "a@example.com".into(),
            at: Moment::day(2026, 1, 1),
            bytes: b"Subject: x\r\n\r\nFrom here on\r\n>From there\r\n".to_vec(),
        };
        let text = String::from_utf8(mbox(&[mail])).unwrap();
        assert_eq!(
            text,
            "From a@example.com Thu Jan  1 00:00:00 2026\nSubject: x\n\n>From here on\n>>From there\n\n"
        );
    }
}
