//! Mail addresses: read from settings, and nothing in them that could end a line or a command.

/// Longest address in bytes (RFC 5321).
const ADDRESS_BYTES: usize = 254;
const LOCAL_BYTES: usize = 64;
const NAME_CHARS: usize = 100;

/// An address, with the name that is shown for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mailbox {
    pub(crate) name: Option<String>,
    pub(crate) address: String,
}

impl Mailbox {
    /// Reads `feedback@example.org` or `Feedback <feedback@example.org>`. The error says what would be right.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (name.trim().trim_matches('"').trim(), address),
            None => ("", text),
        };
        if !is_address(address) {
            return Err(
                "is no mail address; write it like feedback@example.org or Feedback <feedback@example.org>".into(),
            );
        }
        if name.chars().count() > NAME_CHARS || name.contains(char::is_control) {
            return Err(format!(
                "the name before the address has at most {NAME_CHARS} letters, and no line breaks"
            ));
        }
        Ok(Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            address: address.to_owned(),
        })
    }

    /// What stands behind the `@`.
    pub(crate) fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

fn is_address(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let of_atom = |letter: char| letter.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(letter);
    address.len() <= ADDRESS_BYTES
        && local.len() <= LOCAL_BYTES
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(of_atom))
        && is_domain(domain)
}

/// Whether a text is a host name; letters of other scripts than the Latin one are letters, too.
pub(crate) fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|letter| letter.is_alphanumeric() || letter == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_name() {
        let named = Mailbox::read(" \"صوت العميل\" <voice+ar@shop.example> ").unwrap();
        assert_eq!(named.name.as_deref(), Some("صوت العميل"));
        assert_eq!(
            (named.address.as_str(), named.domain()),
            ("voice+ar@shop.example", "shop.example")
        );
        assert_eq!(Mailbox::read("a@localhost").unwrap().name, None);
        assert_eq!(Mailbox::read("خدمة@متجر.example").unwrap().domain(), "متجر.example");
    }

    #[test]
    fn whatever_could_end_a_line_or_a_command_is_no_address() {
        for wrong in [
            "",
            "a",
            "@b.example",
            "a@",
            "a@b@c.example",
            "a b@c.example",
            "a@b.example>\r\nRCPT TO:<x@y.example",
            "a\r\n@b.example",
            "a@b.example\0",
            "<a@b.example",
            "a@b..example",
            ".a@b.example",
            "\"a b\"@c.example",
            "a@[127.0.0.1]",
            "a,b@c.example",
            "a@b.example, c@d.example",
            "a\u{202e}@b.example",
            "one\r\nBcc: x@y.example <a@b.example>",
        ] {
            assert!(Mailbox::read(wrong).is_err(), "{wrong:?}");
        }
        assert!(Mailbox::read(&format!("{}@b.example", "ط".repeat(40))).is_err());
        assert!(Mailbox::read(&format!("{} <a@b.example>", "ط".repeat(101))).is_err());
    }
}
