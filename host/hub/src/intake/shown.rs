//! What readers see of an HTML text: a number that mark-up or escapes take apart in the source stands here in one piece. For
//! whoever masks to look at, never for display.

/// Elements between which nothing runs on.
const BLOCKS: [&str; 24] = [
    "p",
    "br",
    "div",
    "tr",
    "li",
    "ul",
    "ol",
    "dl",
    "dt",
    "dd",
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
    "option",
    "section",
    "header",
    "footer",
];

/// Escapes by name that stand in or between numbers and in addresses.
const NAMED: [(&str, char); 27] = [
    ("nbsp", '\u{a0}'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("lrm", '\u{200e}'),
    ("rlm", '\u{200f}'),
    ("hyphen", '\u{2010}'),
    ("dash", '\u{2010}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("minus", '\u{2212}'),
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("commat", '@'),
    ("period", '.'),
    ("plus", '+'),
    ("lowbar", '_'),
    ("sol", '/'),
    ("lpar", '('),
    ("rpar", ')'),
    ("num", '#'),
];

/// The text of a page. It takes time in proportion to its length, whatever is in it.
pub(super) fn text(html: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(html.len()), html);
    while let Some((said, tail)) = rest.split_once('<') {
        unescape(said, &mut shown);
        rest = tail;
        if !tail.starts_with(|sign: char| sign.is_ascii_alphabetic() || matches!(sign, '/' | '!' | '?')) {
            shown.push('<');
            continue;
        }
        let Some((tag, behind)) = split_tag(tail) else {
            // It never ends, and nothing behind it does: that is looked at as it stands.
            break;
        };
        shown.extend(gap(tag));
        rest = behind;
    }
    unescape(rest, &mut shown);
    shown
}

/// A tag or comment, and what stands behind it; `tail` begins behind the `<`.
fn split_tag(tail: &str) -> Option<(&str, &str)> {
    if let Some(comment) = tail.strip_prefix("!--") {
        let empty = comment.strip_prefix('>').or(comment.strip_prefix("->"));
        let behind = empty.or_else(|| comment.split_once("-->").map(|(_, behind)| behind))?;
        return Some(("", behind));
    }
    // A quotation mark means something only where a value begins with it.
    let (mut quote, mut last) = (None, b' ');
    for (at, byte) in tail.bytes().enumerate() {
        match quote {
            Some(open) => quote = Some(open).filter(|open| *open != byte),
            None if byte == b'>' => return Some((tail.get(..at)?, tail.get(at + 1..)?)),
            None => quote = Some(byte).filter(|byte| last == b'=' && matches!(byte, b'"' | b'\'')),
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
    }
    None
}

/// What a tag puts between the words before and behind it.
fn gap(tag: &str) -> Option<char> {
    let tag = tag.strip_prefix('/').unwrap_or(tag);
    let name = tag.split(|sign: char| !sign.is_ascii_alphanumeric()).next()?;
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    if BLOCKS.iter().any(is) {
        Some('\n')
    } else {
        ["td", "th"].iter().any(is).then_some(' ')
    }
}

fn unescape(mut text: &str, shown: &mut String) {
    while let Some((before, behind)) = text.split_once('&') {
        shown.push_str(before);
        let (letter, rest) = escape(behind).unwrap_or(('&', behind));
        shown.push(letter);
        text = rest;
    }
    shown.push_str(text);
}

/// The letter that an escape stands for, and what follows it; `behind` begins behind the `&`.
fn escape(behind: &str) -> Option<(char, &str)> {
    let (letter, rest) = match behind.strip_prefix('#') {
        Some(number) => numbered(number)?,
        None => NAMED
            .iter()
            .find_map(|(name, letter)| Some((*letter, behind.strip_prefix(*name)?)))?,
    };
    // Readers do without the semicolon.
    Some((letter, rest.strip_prefix(';').unwrap_or(rest)))
}

fn numbered(number: &str) -> Option<(char, &str)> {
    let hex = number.strip_prefix(['x', 'X']);
    let (digits, radix) = hex.map_or((number, 10), |digits| (digits, 16));
    let end = digits.find(|sign: char| !sign.is_digit(radix));
    let (digits, rest) = digits.split_at_checked(end.unwrap_or(digits.len()))?;
    let letter = char::from_u32(u32::from_str_radix(digits, radix).ok()?)?;
    Some((letter, rest))
}

#[cfg(test)]
mod tests {
    use super::text;
    use proptest::prelude::*;

    #[test]
    fn what_mark_up_takes_apart_stands_in_one_piece() {
        for (html, shown) in [
            ("رقمي 05<b>01</b>", "رقمي 0501"),
            ("4111&nbsp;1111", "4111\u{a0}1111"),
            ("&#52;1&#x31;1 &#1636;&#1633", "4111 ٤١"),
            ("41<!-- x > y -->11<!-->22<!--->33", "41112233"),
            ("41<span title=\"a > b\">11</span>", "4111"),
            ("41<i title=it's>11</i>", "4111"),
            ("sara&commat;example&period;com", "sara@example.com"),
            ("<td>41</td><td>11</td>", " 41  11 "),
            ("41<BR/>11", "41\n11"),
            ("1 < 2 && 3 > 2 &unknown; &#; &#x;", "1 < 2 && 3 > 2 &unknown; &#; &#x;"),
            // What never ends is looked at as it stands.
            ("41<b 11", "41b 11"),
            ("41<!-- 11", "41!-- 11"),
            ("", ""),
        ] {
            assert_eq!(text(html), shown, "{html}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_end(html in "[<>&#;x0-9a-c/!='\" \\-ع]{0,60}") {
            prop_assert!(text(&html).len() <= html.len());
        }

        #[test]
        fn what_has_no_mark_up_is_shown_as_it_is(said in "[^<&]{0,40}") {
            prop_assert_eq!(text(&said), said);
        }
    }
}
