//! Cleaning of texts that go into a record.

/// Line ends become `\n`. NUL and the other control characters become U+FFFD: a reader sees that something stood
/// there, and the mail is not refused for it.
pub(crate) fn clean_lines(text: &str) -> String {
    // Most texts are clean. 0xC2 begins the control characters beyond ASCII, and a few harmless signs.
    let may_be_unclean = |b: u8| (b < b' ' && b != b'\n' && b != b'\t') || b == 0x7f || b == 0xc2;
    if !text.bytes().any(may_be_unclean) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            '\u{c}' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// The same for one line: white space is single blanks. At most `max` bytes.
pub(crate) fn clean_line(text: &str, max: usize) -> String {
    let cleaned = clean_lines(text);
    let mut out = cleaned.split_whitespace().collect::<Vec<_>>().join(" ");
    out.truncate(out.floor_char_boundary(max));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(
            clean_lines("شكوى\0\r\nline\rline\u{7}\tx"),
            "شكوى\u{fffd}\nline\nline\u{fffd}\tx"
        );
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(clean_line("  شكوى \r\n جديدة ", 100), "شكوى جديدة");
        assert_eq!(clean_line("شكوى", 5), "شك");
    }
}
