//! Who wrote a mail, and to whom.

use mail_parser::Addr;
use mihwar_sdk::Person;

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

/// Adds the address of `Reply-To` as a second handle. Not when the mail also goes to that address: then it is a
/// mailbox that many write to, and would join their contacts into one.
pub(crate) fn add_reply_to(author: &mut Author, fields: &Fields<'_>, fallback: Fallback) {
    let (replies, _) = fields.addresses("reply-to", fallback);
    let Some(reply) = replies
        .first()
        .map(email)
        .filter(|reply| !reply.is_empty() && *reply != author.address)
    else {
        return;
    };
    if let Some(person) = author.person.take() {
        let shared = recipients(fields, fallback).contains(&reply);
        author.person = Some(if shared {
            person
        } else {
            person.identifier("email", reply)
        });
    }
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
}
