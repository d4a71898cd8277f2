//! Where one message ends and the next begins in an mbox file, without holding the file in memory.
//!
//! A message begins at a line `From sender date` with a header behind it. Both are checked, because a line of text
//! can begin with `From ` too and some programs forget to mark it. Lines that were marked (`>From `, also several
//! times, as in the mboxrd form) lose one mark.

use std::borrow::Cow;

use crate::fields::{before_first_line, field_name, first_line};

/// Longest `From ` line that is looked at.
const MAX_LINE_BYTES: usize = 1_024;

/// Result of a search for the beginning of a message.
#[derive(Debug, PartialEq)]
pub(crate) enum Search {
    /// It begins here.
    Found(usize),
    /// Not before here; go on from here when more bytes have come.
    NotBefore(usize),
}

/// Where the first message begins, if the bytes begin as an mbox does.
pub(crate) fn beginning(head: &[u8]) -> Option<usize> {
    let start = before_first_line(head);
    head.get(start..)?.starts_with(b"From ").then_some(start)
}

/// Looks for the beginning of a message at the line that starts at `from`, or at a later one. `is_end` tells that no
/// more bytes will come.
pub(crate) fn next_message(bytes: &[u8], from: usize, is_end: bool) -> Search {
    let mut at = from;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let line = first_line(rest);
        let is_whole = line.ends_with(b"\n");
        if line.starts_with(b"From ") || (!is_whole && b"From ".starts_with(line)) {
            let after = rest.get(line.len()..).unwrap_or_default();
            if !is_end && line.len() <= MAX_LINE_BYTES && (!is_whole || after.len() < MAX_LINE_BYTES) {
                return Search::NotBefore(at);
            }
            if is_separator(line) && (field_name(after).is_some() || after.starts_with(b">From ")) {
                return Search::Found(at);
            }
        }
        if !is_whole {
            break;
        }
        at += line.len();
    }
    Search::NotBefore(at)
}

/// `From sender Thu Aug 22 12:36:23 2002`, in the forms that programs write.
fn is_separator(line: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
    ];
    if line.len() > MAX_LINE_BYTES {
        return false;
    }
    let words = || {
        line.split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .skip(1)
    };
    let has_month = words().any(|word| MONTHS.contains(&word.to_ascii_lowercase().as_slice()));
    let has_time = words().any(|word| {
        matches!(word, [h1, h2, b':', m1, m2, ..] | [h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()))
    });
    let has_year = words().any(
        |word| matches!(word, [b'1', b'9', a, b] | [b'2', b'0', a, b] if a.is_ascii_digit() && b.is_ascii_digit()),
    );
    has_month && has_time && has_year
}

/// The mail inside one message of an mbox: without its `From ` line, with marked lines unmarked.
pub(crate) fn unwrap_message(message: &[u8]) -> Cow<'_, [u8]> {
    let mail = message.get(first_line(message).len()..).unwrap_or_default();
    if !mail.windows(2).any(|pair| pair == b"\n>") {
        return mail.into();
    }
    let mut out = Vec::with_capacity(mail.len());
    let mut rest = mail;
    while !rest.is_empty() {
        let line = first_line(rest);
        let marks = line.iter().take_while(|byte| **byte == b'>').count();
        let is_marked = marks > 0 && line.get(marks..).is_some_and(|text| text.starts_with(b"From "));
        out.extend_from_slice(line.get(usize::from(is_marked)..).unwrap_or(line));
        rest = rest.get(line.len()..).unwrap_or_default();
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "From sara@example.com Thu Aug 22 12:36:23 2002\n";

    #[test]
    fn a_mark_and_blank_lines_before_the_first_message_do_not_count() {
        assert_eq!(beginning(FROM.as_bytes()), Some(0));
        assert_eq!(beginning(format!("\u{feff}\r\n\n{FROM}").as_bytes()), Some(6));
        assert_eq!(beginning("\nنص\nFrom ".as_bytes()), None);
        assert_eq!(beginning(b"\n\n"), None);
    }

    #[test]
    fn separators_need_a_date_and_a_header() {
        let found = |text: &str| next_message(text.as_bytes(), 0, true);
        assert_eq!(found(&format!("نص\n{FROM}Subject: x\n")), Search::Found("نص\n".len()));
        assert_eq!(found("From - Mon, 3 Mar 2025 09:15:00 +0300\r\nX: y"), Search::Found(0));
        let text = "From now on it is late\nFrom Aug 22 12:36:23 2002\nno header\n";
        assert_eq!(found(text), Search::NotBefore(text.len()));
    }

    #[test]
    fn a_cut_separator_waits_for_more() {
        let text = format!("x\n{FROM}Subject: x\n");
        for end in 2..text.len() {
            let part = text.as_bytes().get(..end).unwrap();
            assert_eq!(next_message(part, 0, false), Search::NotBefore(2), "{end}");
        }
    }

    #[test]
    fn marks_are_taken_off_once() {
        let message = format!("{FROM}Subject: x\n\n>From me\n>>From you\n> From them\n>Frame\n");
        let mail = unwrap_message(message.as_bytes());
        assert_eq!(
            String::from_utf8_lossy(&mail),
            "Subject: x\n\nFrom me\n>From you\n> From them\n>Frame\n"
        );
    }
}
