//! Who wrote a mail, and to whom.

use mail_parser::Addr;
use mihwar_sdk::{Identifier, Person};

use crate::{charset::Fallback, fields::Fields, text};

const MAX_NAME_BYTES: usize = 512;
const MAX_ADDRESS_BYTES: usize = 320;
const MAX_RECIPIENTS: usize = 10;

/// The author with the plain address, and whether every character set was known.
pub(crate) struct Author {
    pub(crate) person: Option<Person>,
    /// Lower case; empty when the mail names none.
    pub(crate) address: String,
    pub(crate) certain: bool,
}

/// The first of `From`, `Sender` and `Return-Path` that names somebody.
pub(crate) fn author(fields: &Fields<'_>, fallback: Fallback) -> Author {
    let mut certain = true;
    for name in ["from", "sender", "return-path"] {
        let (list, known) = fields.addresses(name, fallback);
        certain &= known;
        let Some(first) = list
            .iter()
            .find(|addr| addr.name().is_some() || addr.address().is_some())
        else {
            continue;
        };
        let address = email(first);
        let display = first
            .name()
            .or(first.address())
            .map(|name| text::clean_line(name, MAX_NAME_BYTES));
        let mut person = Person::new();
        person.display_name = display.filter(|name| !name.is_empty());
        if person
            .display_name
            .as_deref()
            .is_some_and(|name| name.eq_ignore_ascii_case(&address))
        {
            person.display_name = None;
        }
        if !address.is_empty() {
            person = person.identifier("email", &address);
        }
        if person.display_name.is_some() || !person.identifiers.is_empty() {
            return Author {
                person: Some(person),
                address,
                certain,
            };
        }
    }
    Author {
        person: None,
        address: String::new(),
        certain,
    }
}

/// Adds the address of `Reply-To` as a further handle: before the sender's when that is one that nobody reads, because
/// the hub knows a person again by the first handle alone. Not when the mail also goes to that address: then it is a
/// mailbox that many write to, and would join their contacts into one.
pub(crate) fn add_reply_to(author: &mut Author, fields: &Fields<'_>, fallback: Fallback) {
    let (replies, _) = fields.addresses("reply-to", fallback);
    let Some((reply, name)) = replies.first().map(|addr| (email(addr), addr.name())) else {
        return;
    };
    let is_of_use = !reply.is_empty() && reply != author.address && !recipients(fields, fallback).contains(&reply);
    let Some(person) = author.person.as_mut().filter(|_| is_of_use) else {
        return;
    };
    let handle = Identifier {
        scheme: "email".to_owned(),
        id: reply,
    };
    if !is_no_reply(&author.address) {
        person.identifiers.push(handle);
        return;
    }
    person.identifiers.insert(0, handle);
    // The sender's name is that of a machine.
    if let Some(name) = name
        .map(|name| text::clean_line(name, MAX_NAME_BYTES))
        .filter(|name| !name.is_empty())
    {
        person.display_name = Some(name);
    }
}

/// An address that sends and is not read, such as that of a web site's contact form.
fn is_no_reply(address: &str) -> bool {
    let local = address.split(['@', '+']).next().unwrap_or_default();
    let local: String = local.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect();
    local.starts_with("noreply")
        || local.starts_with("donotreply")
        || matches!(local.as_str(), "mailer" | "notification" | "notifications" | "notify")
}

/// The addresses in `To` and `Cc`, in lower case, at most ten.
pub(crate) fn recipients(fields: &Fields<'_>, fallback: Fallback) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["to", "cc"] {
        found.extend(
            fields
                .addresses(name, fallback)
                .0
                .iter()
                .map(email)
                .filter(|address| !address.is_empty()),
        );
    }
    found.truncate(MAX_RECIPIENTS);
    found
}

/// The address in lower case, or nothing when it has no `@`: a bare name such as `root` is no handle of a person.
fn email(addr: &Addr<'_>) -> String {
    let address = addr.address().unwrap_or_default().trim().to_lowercase();
    let usable = address.len() <= MAX_ADDRESS_BYTES
        && address.contains('@')
        && !address.chars().any(|c| c.is_whitespace() || c.is_control());
    if usable { address } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, name: Option<&str>, emails: &[&str]) {
        let mail = format!("{header}\n\n");
        let (fields, _) = Fields::split(mail.as_bytes());
        let mut author = author(&fields, Fallback::Guess);
        add_reply_to(&mut author, &fields, Fallback::Guess);
        let person = author.person.unwrap_or_default();
        let found: Vec<&str> = person.identifiers.iter().map(|i| i.id.as_str()).collect();
        assert_eq!(
            (person.display_name.as_deref(), found.as_slice()),
            (name, emails),
            "{header}"
        );
    }

    #[test]
    fn names_and_addresses() {
        check(
            "From: \"سارة العلي\" <Sara@Example.COM>",
            Some("سارة العلي"),
            &["sara@example.com"],
        );
        check("From: sara@example.com (Sara)", Some("Sara"), &["sara@example.com"]);
        check("From: SARA@example.com", None, &["sara@example.com"]);
        check("From: root", Some("root"), &[]);
        check("From:\nSender: desk@example.com", None, &["desk@example.com"]);
        check("Subject: nobody", None, &[]);
    }

    #[test]
    fn reply_to_is_a_second_handle_unless_others_share_it() {
        check(
            "From: a@x.example\nReply-To: A2@x.example",
            None,
            &["a@x.example", "a2@x.example"],
        );
        check(
            "From: a@x.example\nTo: all@x.example\nReply-To: all@x.example",
            None,
            &["a@x.example"],
        );
        check("From: a@x.example\nReply-To: <a@x.example>", None, &["a@x.example"]);
    }

    #[test]
    fn reply_to_comes_first_when_nobody_reads_the_sender() {
        for local in [
            "noreply",
            "No-Reply",
            "no_reply+17",
            "donotreply",
            "do-not-reply",
            "mailer",
            "notifications",
            "noreply.shop",
        ] {
            let sender = format!("{local}@site.example").to_lowercase();
            check(
                &format!("From: Shop <{local}@site.example>\nReply-To: سارة <Sara@x.example>"),
                Some("سارة"),
                &["sara@x.example", &sender],
            );
        }
        check(
            "From: Shop <noreply@site.example>\nTo: desk@x.example\nReply-To: desk@x.example",
            Some("Shop"),
            &["noreply@site.example"],
        );
        check(
            "From: Mailer Daemons <mailers@site.example>\nReply-To: sara@x.example",
            Some("Mailer Daemons"),
            &["mailers@site.example", "sara@x.example"],
        );
    }
}
