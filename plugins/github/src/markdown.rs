//! A customer's words inside GitHub's Markdown: shown as they were written, and doing nothing.

/// Longest text of a customer in an issue, in letters.
const TEXT_CHARS: usize = 24_000;
/// Longest quotation with all its marks. GitHub takes 65 536 letters in all.
const QUOTE_CHARS: usize = 55_000;

/// A text as a quotation that reads in its own direction, on lines of its own. Longer texts are cut; `cut` says so.
pub(crate) fn quoted(text: &str, cut: &str) -> String {
    let mut letters = TEXT_CHARS;
    loop {
        let quote = beginning(text, letters, cut);
        // A text of nothing but signs takes several letters for each.
        if quote.chars().count() <= QUOTE_CHARS || letters == 0 {
            return quote;
        }
        letters /= 2;
    }
}

fn beginning(text: &str, letters: usize, cut: &str) -> String {
    let mut quote = String::from("<div dir=\"auto\">\n\n");
    let short: String = text.chars().take(letters).collect();
    for line in short.lines() {
        quote.push_str("> ");
        quote.push_str(&escaped(line));
        // Two blanks at the end keep the line.
        quote.push_str("  \n");
    }
    if short.len() < text.len() {
        quote.push_str(&format!("\n_{cut}_\n"));
    }
    quote.push_str("\n</div>\n");
    quote
}

/// A text on one line with nothing in it that GitHub acts on: no marks, no mentions, no links, no references to issues.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    let mut before = ' ';
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // An empty letter behind it: no mention, and no reference such as `#12`.
            '@' | '#' => {
                safe.push(letter);
                safe.push_str("&#8203;");
            }
            // `https://` becomes no link: where it leads to is for people to see first.
            ':' => safe.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '+' | '-' | '=' => {
                safe.push('\\');
                safe.push(letter);
            }
            // `1.` at the beginning of a line is a list, and `www.` and what follows it a link.
            '.' | ')' if before.is_ascii_alphanumeric() => {
                safe.push('\\');
                safe.push(letter);
            }
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
        before = letter;
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{QUOTE_CHARS, TEXT_CHARS, escaped, quoted};

    #[test]
    fn nothing_that_a_customer_writes_does_anything() {
        assert_eq!(escaped("أهلًا @acme/team"), "أهلًا @&#8203;acme/team");
        assert_eq!(escaped("see #12 and GH\u{2011}1"), "see #&#8203;12 and GH\u{2011}1");
        assert_eq!(escaped("<img src=x>&nbsp;"), "&lt;img src\\=x&gt;&amp;nbsp;");
        assert_eq!(escaped("[x](https://a.example)"), "\\[x\\](https&#58;//a\\.example\\)");
        assert_eq!(escaped("<!-- mihwar:1 -->"), "&lt;\\!\\-\\- mihwar&#58;1 \\-\\-&gt;");
        assert_eq!(escaped("1. a\t**b**"), "1\\. a \\*\\*b\\*\\*");
    }

    #[test]
    fn a_text_keeps_its_lines_and_its_direction_and_is_cut_where_it_is_too_long() {
        let quote = quoted("خُصم المبلغ\n\nمرتين", "…");
        assert_eq!(
            quote,
            "<div dir=\"auto\">\n\n> خُصم المبلغ  \n>   \n> مرتين  \n\n</div>\n"
        );
        let long = quoted(&"م".repeat(TEXT_CHARS + 1), "بقيته في المركز");
        assert!(long.contains("_بقيته في المركز_") && long.chars().count() < TEXT_CHARS + 100);
        let signs = quoted(&"@".repeat(TEXT_CHARS), "…");
        assert!(signs.contains("_…_") && signs.chars().count() <= QUOTE_CHARS);
    }
}
