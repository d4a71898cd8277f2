//! Header fields: where they end, and what they say.

use std::borrow::Cow;

use mail_parser::{Addr, DateTime, HeaderValue, parsers::MessageStream};

use crate::{charset::Fallback, encoded_words};

/// Longest header section that is looked at; more is body.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// One field as it stands in the mail.
struct Field<'a> {
    name: &'a str,
    /// With folded lines and line ends.
    value: &'a [u8],
}

/// The header section of a mail or of one MIME part.
pub(crate) struct Fields<'a> {
    list: Vec<Field<'a>>,
}

/// A decoded field text, and whether every character set in it was known.
pub(crate) struct FieldText {
    pub(crate) text: String,
    pub(crate) certain: bool,
}

impl<'a> Fields<'a> {
    /// Like [`Fields::split`] for a whole mail: a byte order mark and empty lines before it do not count.
    pub(crate) fn of_mail(mail: &'a [u8]) -> (Self, &'a [u8]) {
        Self::split(mail.get(before_first_line(mail)..).unwrap_or_default())
    }

    /// Splits header section and body. Tolerates `From ` lines before the header, stray lines in it and a missing
    /// blank line after it.
    pub(crate) fn split(mail: &'a [u8]) -> (Self, &'a [u8]) {
        let mut list: Vec<Field<'a>> = Vec::new();
        let mut at = 0;
        let mut value_start = 0;
        while at < mail.len().min(MAX_HEADER_BYTES) {
            let rest = mail.get(at..).unwrap_or_default();
            let line = first_line(rest);
            let next = at + line.len();
            if is_blank(line) {
                return (Self { list }, mail.get(next..).unwrap_or_default());
            }
            if let Some(name) = field_name(line) {
                value_start = at + colon(line) + 1;
                list.push(Field {
                    name,
                    value: mail.get(value_start..next).unwrap_or_default(),
                });
            } else if is_continuation(line) && !list.is_empty() {
                extend(&mut list, mail, value_start, next);
            } else if !is_envelope_line(line) {
                // A line that was folded without a blank in front, or the body without a blank line before it.
                let after = mail.get(next..).unwrap_or_default();
                let header_goes_on = !list.is_empty() && (field_name(after).is_some() || is_continuation(after));
                if !header_goes_on {
                    return (Self { list }, rest);
                }
                extend(&mut list, mail, value_start, next);
            }
            at = next;
        }
        (Self { list }, mail.get(at..).unwrap_or_default())
    }

    /// The first field of that name, as it stands in the mail, without surrounding white space.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next().map(<[u8]>::trim_ascii)
    }

    /// All fields of that name, topmost first.
    pub(crate) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        self.list
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// Whether there is such a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The names of all fields, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.list.iter().map(|field| field.name)
    }

    /// Raw value in lower case, for comparing keywords. Empty when there is no such field.
    pub(crate) fn keyword(&self, name: &str) -> String {
        String::from_utf8_lossy(self.raw(name).unwrap_or_default())
            .trim()
            .to_ascii_lowercase()
    }

    /// Free text with encoded words decoded; `None` when missing or empty.
    pub(crate) fn text(&self, name: &str, fallback: Fallback) -> Option<FieldText> {
        let (value, certain) = encoded_words::readable(self.all(name).next()?, fallback);
        let text = parse(&value, Form::Text, |value| value.as_text().map(str::to_owned))?;
        Some(FieldText { text, certain })
    }

    /// The addresses of the field, groups flattened.
    pub(crate) fn addresses(&self, name: &str, fallback: Fallback) -> (Vec<Addr<'static>>, bool) {
        let Some(value) = self.all(name).next() else {
            return (Vec::new(), true);
        };
        let (value, certain) = encoded_words::readable(value, fallback);
        let list = parse(&value, Form::Addresses, |value| {
            Some(
                value
                    .as_address()?
                    .iter()
                    .map(|addr| addr.clone().into_owned())
                    .collect(),
            )
        });
        (list.unwrap_or_default(), certain)
    }

    /// Message ids of all fields of that name, without angle brackets. What cannot be an id is left out.
    pub(crate) fn ids(&self, name: &str) -> Vec<String> {
        let mut ids = Vec::new();
        for value in self.all(name) {
            let found = parse(value, Form::Ids, |value| match value {
                HeaderValue::Text(id) => Some(vec![id.to_string()]),
                HeaderValue::TextList(list) => Some(list.iter().map(ToString::to_string).collect()),
                _ => None,
            });
            ids.extend(found.unwrap_or_default().into_iter().filter(|id| is_id(id)));
        }
        ids
    }

    /// The `Date` of the field, if there is one that a calendar knows.
    pub(crate) fn date(&self, name: &str) -> Option<DateTime> {
        parse(self.all(name).next()?, Form::Date, |value| value.as_datetime().copied()).filter(DateTime::is_valid)
    }

    /// The time stamp of the topmost `Received` field that has one: when the mail arrived.
    pub(crate) fn received(&self) -> Option<DateTime> {
        self.all("received").find_map(|value| {
            // Everything before the last `;` is the route, which is of no interest here.
            let stamp = value.iter().rposition(|byte| *byte == b';')?;
            parse(value.get(stamp + 1..)?, Form::Date, |value| {
                value.as_datetime().copied()
            })
            .filter(DateTime::is_valid)
        })
    }

    /// `Content-Type` or `Content-Disposition`: the type in lower case, and a look-up of its parameters.
    pub(crate) fn content(&self, name: &str, fallback: Fallback) -> Option<ContentField> {
        let (value, _) = encoded_words::readable(self.all(name).next()?, fallback);
        parse(&value, Form::Content, |value| {
            let content = value.as_content_type()?;
            Some(ContentField {
                main: content.ctype().trim().to_ascii_lowercase(),
                sub: content.subtype().unwrap_or_default().trim().to_ascii_lowercase(),
                parameters: content
                    .attributes()
                    .unwrap_or_default()
                    .iter()
                    .map(|attribute| (attribute.name.to_ascii_lowercase(), attribute.value.to_string()))
                    .collect(),
            })
        })
    }
}

/// A field of the form `main/sub; name=value`.
pub(crate) struct ContentField {
    pub(crate) main: String,
    pub(crate) sub: String,
    parameters: Vec<(String, String)>,
}

impl ContentField {
    /// The parameter of that (lower-case) name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// How a value is written.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Addresses,
    Ids,
    Date,
    Content,
}

fn parse<T>(value: &[u8], form: Form, take: impl FnOnce(&HeaderValue<'_>) -> Option<T>) -> Option<T> {
    // The parsers need a line end to see that a value is complete.
    let value: Cow<'_, [u8]> = if value.ends_with(b"\n") {
        value.into()
    } else {
        [value, b"\n"].concat().into()
    };
    let mut stream = MessageStream::new(&value);
    take(&match form {
        Form::Text => stream.parse_unstructured(),
        Form::Addresses => stream.parse_address(),
        Form::Ids => stream.parse_id(),
        Form::Date => stream.parse_date(),
        Form::Content => stream.parse_content_type(),
    })
}

fn extend<'a>(list: &mut [Field<'a>], mail: &'a [u8], value_start: usize, end: usize) {
    if let Some(field) = list.last_mut() {
        field.value = mail.get(value_start..end).unwrap_or_default();
    }
}

/// How many bytes a byte order mark and empty lines at the beginning take.
pub(crate) fn before_first_line(bytes: &[u8]) -> usize {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let mark = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
    let blank = bytes.iter().skip(mark).take_while(|byte| matches!(byte, b'\r' | b'\n'));
    mark + blank.count()
}

/// The line up to and with its line end.
pub(crate) fn first_line(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |at| at + 1);
    bytes.get(..end).unwrap_or(bytes)
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n" | b"\r")
}

fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t')) && !line.trim_ascii().is_empty()
}

fn is_envelope_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

fn colon(line: &[u8]) -> usize {
    line.iter().position(|byte| *byte == b':').unwrap_or(0)
}

/// The field name with which the text begins (RFC 5322: printable ASCII but the colon; blanks before the colon
/// were once allowed).
pub(crate) fn field_name(text: &[u8]) -> Option<&str> {
    const MAX_NAME: usize = 76;
    let end = text.iter().take(MAX_NAME).position(|byte| *byte == b':')?;
    let name = text.get(..end)?.trim_ascii_end();
    let printable = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    if printable {
        std::str::from_utf8(name).ok()
    } else {
        None
    }
}

fn is_id(id: &str) -> bool {
    const MAX_ID: usize = 900;
    !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(mail: &str) -> (Fields<'_>, String) {
        let (fields, body) = Fields::split(mail.as_bytes());
        (fields, String::from_utf8_lossy(body).into_owned())
    }

    #[test]
    fn header_and_body_are_told_apart() {
        let (header, body) = fields("From: a@b.example\r\nSubject: x\r\n y\r\n\r\nbody: text\r\n");
        assert_eq!(header.names().collect::<Vec<_>>(), ["From", "Subject"]);
        assert_eq!(header.text("subject", Fallback::Guess).unwrap().text, "x y");
        assert_eq!(body, "body: text\r\n");
    }

    #[test]
    fn stray_lines_do_not_end_the_header() {
        let (header, body) = fields(">From x\nReceived: from a\nby b; \nSubject: y\nno colon here\nlast");
        assert_eq!(header.text("subject", Fallback::Guess).unwrap().text, "y");
        assert_eq!(body, "no colon here\nlast");
    }

    #[test]
    fn a_header_without_line_end_is_read() {
        let (header, body) = fields("Message-ID: <a@b.example>");
        assert_eq!(header.ids("message-id"), ["a@b.example"]);
        assert_eq!(body, "");
    }

    #[test]
    fn ids_that_are_prose_are_left_out() {
        let (header, _) = fields("In-Reply-To: Your message of Monday\nReferences: <a@x> <b@x>\n\t<c@x>\n\n");
        assert!(header.ids("in-reply-to").is_empty());
        assert_eq!(header.ids("references"), ["a@x", "b@x", "c@x"]);
    }

    #[test]
    fn arrival_is_read_from_the_topmost_stamp() {
        let (header, _) = fields(
            "Received: from a by b; Thu, 22 Aug 2002 12:36:23 +0100\nReceived: by c; Thu, 22 Aug 2002 01:00:00 GMT\n\n",
        );
        assert_eq!(header.received().unwrap().to_rfc3339(), "2002-08-22T12:36:23+01:00");
    }

    #[test]
    fn arabic_names_and_parameters() {
        let (header, _) = fields(
            "From: =?utf-8?B?2LPYp9ix2Kk=?= <Sara@Example.com>\nContent-Disposition: attachment;\n \
             filename*=UTF-8''%D9%81%D8%A7%D8%AA%D9%88%D8%B1%D8%A9.pdf\n\n",
        );
        let (from, certain) = header.addresses("from", Fallback::Guess);
        assert_eq!(from[0].name(), Some("سارة"));
        assert!(certain);
        let content = header.content("content-disposition", Fallback::Guess).unwrap();
        assert_eq!(
            (content.main.as_str(), content.parameter("filename")),
            ("attachment", Some("فاتورة.pdf"))
        );
    }
}
