//! HTML to plain text.

/// HTML larger than this goes through the plain stripper: laying it out would take too long.
const MAX_LAYOUT_BYTES: usize = 256 << 10;
/// Same for HTML with more open tags inside each other than a layout should see.
const MAX_LAYOUT_DEPTH: usize = 200;
/// Wide enough that paragraphs stay on one line.
const WIDTH: usize = 2_000;

/// The text that a reader of the page would see. Scripts and styles are gone.
pub(crate) fn to_text(html: &str) -> String {
    let text = if html.len() <= MAX_LAYOUT_BYTES && depth_at_most(html) <= MAX_LAYOUT_DEPTH {
        laid_out(html).unwrap_or_else(|| stripped(html))
    } else {
        stripped(html)
    };
    squeeze(&text)
}

/// The character set that a page names in its `meta` element.
pub(crate) fn charset(page: &[u8]) -> Option<&str> {
    const LOOK_AT: usize = 2_048;
    const KEY: &[u8] = b"charset=";
    let head = page.get(..page.len().min(LOOK_AT))?;
    let at = head
        .windows(KEY.len())
        .position(|window| window.eq_ignore_ascii_case(KEY))?;
    let value = head.get(at + KEY.len()..)?;
    let value = value.strip_prefix(b"\"").or(value.strip_prefix(b"'")).unwrap_or(value);
    let length = value
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        .count();
    std::str::from_utf8(value.get(..length)?)
        .ok()
        .filter(|name| !name.is_empty())
}

fn laid_out(html: &str) -> Option<String> {
    let text = html2text::config::plain_no_decorate()
        .no_table_borders()
        .raw_mode(true)
        .allow_width_overflow()
        .string_from_read(html.as_bytes(), WIDTH)
        .ok()?;
    // A page whose tags confuse the layout must not become an empty mail.
    let lost_all = text.trim().is_empty() && !stripped(html).trim().is_empty();
    if lost_all { None } else { Some(text) }
}

/// An upper bound of the nesting, without parsing: tags opened and not closed, at its highest. Tags that have no end or
/// end by themselves when the next one begins do not nest.
fn depth_at_most(html: &str) -> usize {
    const FLAT: [&str; 15] = [
        "br", "img", "hr", "meta", "link", "input", "p", "li", "td", "th", "tr", "dt", "dd", "option", "area",
    ];
    let mut depth: usize = 0;
    let mut highest = 0;
    for tag in html.split('<').skip(1) {
        let (closes, name) = tag.strip_prefix('/').map_or((false, tag), |name| (true, name));
        let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
        let name = name.get(..end).unwrap_or_default();
        let is_flat = name.is_empty() || FLAT.iter().any(|flat| flat.eq_ignore_ascii_case(name));
        if is_flat {
            continue;
        }
        depth = if closes { depth.saturating_sub(1) } else { depth + 1 };
        highest = highest.max(depth);
    }
    highest
}

/// Text without tags, scripts, styles and comments; block tags become line ends.
fn stripped(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some((text, tail)) = rest.split_once('<') {
        push_words(&mut out, text);
        rest = if let Some(comment) = tail.strip_prefix("!--") {
            comment.split_once("-->").map_or("", |(_, after)| after)
        } else if tail.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!' || c == '?') {
            after_tag(&mut out, tail)
        } else {
            out.push('<');
            tail
        };
    }
    push_words(&mut out, rest);
    out
}

/// Skips one tag, and all of a script or style; `tail` begins behind the `<`.
fn after_tag<'a>(out: &mut String, tail: &'a str) -> &'a str {
    const BLOCKS: [&str; 17] = [
        "p",
        "br",
        "div",
        "tr",
        "li",
        "ul",
        "ol",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "blockquote",
        "pre",
    ];
    let Some((tag, after)) = tail.split_once('>') else {
        return "";
    };
    let name = tag.trim_start_matches('/');
    let name = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if BLOCKS.contains(&name.as_str()) {
        out.push('\n');
    } else if name == "td" || name == "th" {
        out.push(' ');
    }
    let hides = !tag.starts_with('/') && matches!(name.as_str(), "script" | "style" | "title" | "template");
    if !hides {
        return after;
    }
    // An unclosed script swallows the page in a browser too; the text behind it is kept all the same.
    let close = format!("</{name}");
    match find_ignoring_case(after, &close) {
        Some(at) => after
            .get(at..)
            .and_then(|end| end.split_once('>'))
            .map_or("", |(_, after)| after),
        None => after,
    }
}

fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.as_bytes()
        .windows(needle.len())
        .position(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

fn push_words(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('&') {
        push_spaced(out, before);
        match entity(tail) {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = tail;
            }
        }
    }
    push_spaced(out, rest);
}

/// Line ends in HTML are blanks.
fn push_spaced(out: &mut String, text: &str) {
    out.extend(
        text.chars()
            .map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c }),
    );
}

fn entity(tail: &str) -> Option<(char, &str)> {
    const MAX_NAME: usize = 10;
    let end = tail.bytes().take(MAX_NAME).position(|b| b == b';')?;
    let (name, after) = (tail.get(..end)?, tail.get(end + 1..)?);
    let c = if let Some(code) = name.strip_prefix('#') {
        let code = match code.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => code.parse().ok()?,
        };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    } else {
        match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => ' ',
            "laquo" => '«',
            "raquo" => '»',
            "ndash" => '–',
            "mdash" => '—',
            "rsquo" => '’',
            "copy" => '©',
            "zwnj" => '\u{200c}',
            "rlm" => '\u{200f}',
            "lrm" => '\u{200e}',
            _ => return None,
        }
    };
    Some((c, after))
}

/// Single blanks, no blank at line ends, at most one empty line in a row.
fn squeeze(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty_lines = 0;
    for line in text.lines() {
        let mut words = line
            .split([' ', '\t', '\u{a0}', '\r'])
            .filter(|word| !word.is_empty())
            .peekable();
        if words.peek().is_none() {
            empty_lines += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if empty_lines > 0 { "\n\n" } else { "\n" });
        }
        empty_lines = 0;
        for (at, word) in words.enumerate() {
            if at > 0 {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_its_text() {
        let html = "<html><head><title>t</title><style>p{color:red}</style></head><body dir=rtl>\
            <p>الخدمة   ممتازة &amp; سريعة</p><script>alert('x')</script><ul><li>one<li>two</ul></body></html>";
        let text = to_text(html);
        assert!(text.starts_with("الخدمة ممتازة & سريعة"), "{text}");
        assert!(text.contains("one") && text.contains("two"), "{text}");
        assert!(!text.contains("alert") && !text.contains("color"), "{text}");
    }

    #[test]
    fn the_stripper_gives_the_same_words() {
        let html = "<STYLE>p{}</STYLE><p>الخدمة&nbsp;ممتازة<br>2 &lt; 3 &#x2714; &unknown;<!-- hidden <b> --><script>x<y</script>end";
        assert_eq!(squeeze(&stripped(html)), "الخدمة ممتازة\n2 < 3 ✔ &unknown;end");
        assert_eq!(squeeze(&stripped("a < b <script>never closed")), "a < b never closed");
    }

    #[test]
    fn deep_and_large_pages_do_not_overflow() {
        let deep = format!("{}عمق", "<div>".repeat(100_000));
        assert_eq!(to_text(&deep), "عمق");
        for nested in ["<font color=red>", "<div><p></p>", "<b><li></li></li>", "<ul><li>"] {
            assert!(
                to_text(&format!("{}عمق", nested.repeat(20_000))).ends_with("عمق"),
                "{nested}"
            );
        }
        let table = format!("{}cell", "<table><tr><td>".repeat(20_000));
        assert_eq!(to_text(&table), "cell");
        let large = format!("<p>{}</p>", "كلمة ".repeat(100_000));
        assert_eq!(to_text(&large).split(' ').count(), 100_000);
    }
}
