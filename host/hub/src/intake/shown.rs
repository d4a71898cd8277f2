//! What readers see of a text with mark-up: a number that tags or escapes take apart in the source stands here in one piece.
//! For whoever masks to look at, never for display; and which parts of the source that was.

use std::ops::Range;

/// Elements between which nothing runs on.
const BLOCKS: [&str; 32] = [
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
    "address",
    "article",
    "aside",
    "main",
    "nav",
    "center",
    "caption",
    "title",
];

/// Escapes by name that stand in or between numbers and in addresses. Where one begins as another does, the longer is first.
const NAMED: [(&str, char); 42] = [
    ("nbsp", '\u{a0}'),
    ("ensp", '\u{2002}'),
    ("emsp13", '\u{2004}'),
    ("emsp14", '\u{2005}'),
    ("emsp", '\u{2003}'),
    ("numsp", '\u{2007}'),
    ("puncsp", '\u{2008}'),
    ("thinsp", '\u{2009}'),
    ("hairsp", '\u{200a}'),
    ("MediumSpace", '\u{205f}'),
    ("ZeroWidthSpace", '\u{200b}'),
    ("NoBreak", '\u{2060}'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
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
    ("colon", ':'),
    ("equals", '='),
    ("middot", '·'),
    ("centerdot", '·'),
    ("bull", '•'),
    ("lpar", '('),
    ("rpar", ')'),
    ("num", '#'),
];

/// What readers see of a text.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) parts: Parts,
}

/// Where what is shown stands in the source, in the order in which it is shown.
#[derive(Debug, Default)]
pub(super) struct Parts(Vec<Part>);

/// What is in one piece in both: as it stands, or one letter for an escape. A text may have a million of them.
#[derive(Debug)]
struct Part {
    shown: Range<u32>,
    source: Range<u32>,
}

/// What readers see of a text, if that is not the text as it is. It takes time in proportion to its length, whatever is in
/// it.
pub(super) fn of(source: &str) -> Option<Shown> {
    if !source.contains(['<', '&']) {
        return None;
    }
    let mut reader = Reader::default();
    reader.read(source);
    let Reader { text, parts, .. } = reader;
    (text != source).then_some(Shown { text, parts })
}

impl Parts {
    /// What of the source stands where this range is shown, and none of the tags between.
    pub(super) fn sources(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let mut sources: Vec<Range<usize>> = Vec::new();
        let first = self.0.partition_point(|part| large(part.shown.end) <= range.start);
        let parts = self.0.iter().skip(first);
        for part in parts.take_while(|part| large(part.shown.start) < range.end) {
            let source = part.source_of(range);
            match sources.last_mut() {
                Some(last) if last.end == source.start => last.end = source.end,
                _ => sources.push(source),
            }
        }
        sources
    }

    fn add(&mut self, shown: Range<usize>, source: Range<usize>) {
        let part = Part {
            shown: small(shown.start)..small(shown.end),
            source: small(source.start)..small(source.end),
        };
        match self.0.last_mut() {
            Some(last) if last.goes_on_in(&part) => {
                last.shown.end = part.shown.end;
                last.source.end = part.source.end;
            }
            _ if shown.is_empty() => {}
            _ => self.0.push(part),
        }
    }
}

impl Part {
    fn is_as_it_stands(&self) -> bool {
        self.shown.len() == self.source.len()
    }

    fn goes_on_in(&self, next: &Self) -> bool {
        let is_next = self.shown.end == next.shown.start && self.source.end == next.source.start;
        is_next && self.is_as_it_stands() && next.is_as_it_stands()
    }

    /// What of the source of this part stands where a range is shown.
    fn source_of(&self, range: &Range<usize>) -> Range<usize> {
        let (shown, source) = (large(self.shown.start), large(self.source.start));
        if !self.is_as_it_stands() {
            return source..large(self.source.end);
        }
        let start = range.start.max(shown) - shown;
        let end = range.end.min(large(self.shown.end)) - shown;
        source + start..source + end
    }
}

/// Texts of the intake have a few megabytes.
fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn large(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Reads a source, from its beginning to its end.
#[derive(Default)]
struct Reader {
    text: String,
    parts: Parts,
    /// Whether a tag has begun a line, and nothing was said in it yet.
    is_begun: bool,
    /// Whether the source has broken the line, and nothing was said behind that.
    is_broken: bool,
}

impl Reader {
    fn read(&mut self, source: &str) {
        let (mut rest, mut coded): (&str, Vec<(&str, usize)>) = (source, Vec::new());
        while let Some((said, tail)) = rest.split_once('<') {
            self.say(said, source.len() - rest.len());
            let behind_sign = source.len() - tail.len();
            rest = tail;
            if !tail.starts_with(|sign: char| sign.is_ascii_alphabetic() || matches!(sign, '/' | '!' | '?')) {
                self.keep("<", behind_sign - 1);
                continue;
            }
            let Some((tag, behind)) = split_tag(tail) else {
                // It never ends, and nothing behind it does: that is looked at as it stands.
                break;
            };
            self.pass(tag);
            if tag.contains('&') {
                coded.push((tag, behind_sign));
            }
            rest = behind;
        }
        self.say(rest, source.len() - rest.len());
        // An address behind a link may be written with escapes, too. Nobody reads on from one to the next.
        for (tag, at) in coded {
            self.text.push('\n');
            self.unescape(tag, at);
        }
    }

    /// What a tag puts between the words before and behind it.
    fn pass(&mut self, tag: &str) {
        let gap = gap(tag);
        let is_line = gap == Some('\n');
        // A break of the source beside that of a tag is none of its own.
        if !(is_line && self.is_broken) {
            self.text.extend(gap);
        }
        (self.is_begun, self.is_broken) = (is_line, false);
    }

    fn say(&mut self, said: &str, at: usize) {
        if said.is_empty() {
            return;
        }
        let line_break = if self.is_begun { line_break(said) } else { 0 };
        let said = said.get(line_break..).unwrap_or_default();
        self.unescape(said, at + line_break);
        self.is_begun = false;
        self.is_broken = said.trim_end_matches([' ', '\t', '\r']).ends_with('\n');
    }

    fn unescape(&mut self, text: &str, at: usize) {
        let (mut rest, end) = (text, at + text.len());
        while let Some((before, behind)) = rest.split_once('&') {
            self.keep(before, end - rest.len());
            let sign = end - behind.len() - 1;
            rest = match escape(behind) {
                Some((letter, behind)) => {
                    let shown = self.text.len();
                    self.text.push(letter);
                    self.parts.add(shown..self.text.len(), sign..end - behind.len());
                    behind
                }
                None => {
                    self.keep("&", sign);
                    behind
                }
            };
        }
        self.keep(rest, end - rest.len());
    }

    /// Shows a piece of the source as it stands.
    fn keep(&mut self, piece: &str, at: usize) {
        let shown = self.text.len();
        self.text.push_str(piece);
        self.parts.add(shown..self.text.len(), at..at + piece.len());
    }
}

/// How long the break is that a text begins with.
fn line_break(text: &str) -> usize {
    if text.starts_with("\r\n") {
        2
    } else {
        usize::from(text.starts_with('\n'))
    }
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
    use super::of;
    use proptest::prelude::*;

    fn text(html: &str) -> String {
        of(html).map_or_else(|| html.to_owned(), |shown| shown.text)
    }

    /// What of a source stands where these words are shown.
    fn sources<'a>(html: &'a str, words: &str) -> Vec<&'a str> {
        let shown = of(html).unwrap();
        let start = shown.text.find(words).unwrap();
        let sources = shown.parts.sources(&(start..start + words.len()));
        sources.into_iter().map(|source| html.get(source).unwrap()).collect()
    }

    #[test]
    fn what_mark_up_takes_apart_stands_in_one_piece() {
        for (html, shown) in [
            ("رقمي 05<b>01</b>", "رقمي 0501"),
            ("4111&nbsp;1111", "4111\u{a0}1111"),
            (
                "4111&numsp;1111&emsp13;1111&ZeroWidthSpace;1",
                "4111\u{2007}1111\u{2004}1111\u{200b}1",
            ),
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

    #[test]
    fn a_break_of_the_source_beside_that_of_a_tag_is_one() {
        for (html, shown) in [
            ("بطاقتي 4111<br>\r\n1111", "بطاقتي 4111\n1111"),
            ("4111\n  <br/>1111", "4111\n  1111"),
            ("4111\n<br>\n1111", "4111\n1111"),
            ("4111<br>\n<br>\n1111", "4111\n\n1111"),
            ("<p>4111</p>\n<p>1111</p>", "\n4111\n\n1111\n"),
            ("<b>4111</b>\n1111", "4111\n1111"),
        ] {
            assert_eq!(text(html), shown, "{html}");
        }
    }

    #[test]
    fn escapes_in_tags_are_shown_behind_everything_else() {
        assert_eq!(
            text("<a href=\"tel:&#43;966\">اتصل</a> بنا<a href='x'>"),
            "اتصل بنا\na href=\"tel:+966\""
        );
    }

    #[test]
    fn what_is_shown_is_found_in_the_source() {
        assert_eq!(sources("رقمي 05<b>01</b> شكراً", "0501"), ["05", "01"]);
        assert_eq!(
            sources("<p>4111&nbsp;1<i>1</i>11</p>", "4111\u{a0}1111"),
            ["4111&nbsp;1", "1", "11"]
        );
        assert_eq!(sources("&#52;1&#x31;1 هي", "4111"), ["&#52;1&#x31;1"]);
        assert_eq!(sources("<td>41</td><td>11</td>", "41  11"), ["41", "11"]);
        assert_eq!(sources("<a href=\"tel:&#43;966\">نعم</a>", "+966"), ["&#43;966"]);
        assert_eq!(sources("سؤال<br>\nجواب", "ال\nجو"), ["ال", "جو"]);
        // A tag alone stands for nothing that was said.
        assert_eq!(sources("سؤال<br>جواب", "\n"), [""; 0]);
    }

    #[test]
    fn what_is_shown_as_it_stands_is_not_shown_once_more() {
        for plain in ["شكراً", "1 < 2", "نعم & لا", "a <3 b", "", "https://example.com/?a=1&b=2"] {
            assert!(of(plain).is_none(), "{plain}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_end(html in "[<>&#;x0-9a-c/!='\" \\-\nع]{0,60}") {
            prop_assert!(text(&html).len() <= html.len());
        }

        #[test]
        fn what_has_no_mark_up_is_shown_as_it_is(said in "[^<&]{0,40}") {
            prop_assert!(of(&said).is_none());
        }

        /// Every letter that is shown stands for a part of the source, in order and without overlaps; a tag for none.
        #[test]
        fn letters_stand_where_they_came_from(html in "(<b>|<br>|&nbsp;|&#1636;|&|[0-9عص ]){0,20}") {
            let Some(shown) = of(&html) else { return Ok(()) };
            let mut at = 0;
            for (place, letter) in shown.text.char_indices() {
                let sources = shown.parts.sources(&(place..place + letter.len_utf8()));
                prop_assert_eq!(sources.len(), usize::from(letter != '\n'));
                for source in sources {
                    prop_assert!(source.start >= at && source.end <= html.len());
                    let said = html.get(source.clone()).unwrap();
                    prop_assert!(said.starts_with('&') || said == letter.to_string(), "{:?} for {:?}", said, letter);
                    at = source.end;
                }
            }
        }
    }
}
