//! Looking through a text, line by line and over the breaks between them: all kinds, what is masked already, what is allowed,
//! and what of it is covered.

use std::ops::Range;

use mihwar_sdk::Span;

use crate::line::Line;
use crate::seam::{Around, Crossing, Seam};
use crate::settings::{Kind, Settings};
use crate::{card, email, iban, national_id, phone};

/// How often a line is looked through: what is found in it may free what stands beside it.
const ROUNDS_MAX: usize = 8;
/// Most spans of one text. Behind them everything up to the last one is covered by one span, so that a text of
/// nothing but addresses does not go over the hub's limit.
const SPANS_MAX: usize = 2_000;

/// Longest piece of a line that is looked at as a whole. Of one line of megabytes the letters alone would take more memory
/// than the plugin has, and the item would be held back for ever.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// Where in a line something of one kind stands.
type Find = fn(&Line) -> Vec<Range<usize>>;

/// The order in which kinds are looked for: what is surer comes first, and nothing is looked for inside of it.
const ORDER: [(Kind, Find); 5] = [
    (Kind::Email, email::find),
    (Kind::Iban, iban::find),
    (Kind::CardNumber, card::find),
    (Kind::NationalId, national_id::find),
    (Kind::Phone, phone::find),
];

/// Finds what settings ask for.
pub(crate) struct Scanner<'a> {
    settings: &'a Settings,
    allowed: Allowed,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            allowed: Allowed::of(&settings.allow),
        }
    }

    /// What to mask in a text: in order, without overlaps, each with the kind as its label.
    pub(crate) fn spans(&self, text: &str) -> Vec<Span> {
        let (mut spans, mut line, mut before) = (Vec::new(), Line::default(), Line::default());
        let (mut start, mut above, mut first) = (0, "", "");
        let mut lines = lines(text).peekable();
        while let Some(second) = lines.next() {
            let below = lines.peek().copied().unwrap_or_default();
            for (number, piece) in pieces(second).enumerate() {
                std::mem::swap(&mut line, &mut before);
                line.read(piece, start);
                start += piece.len();
                self.pass_over_masks(&mut line);
                self.look(&mut line, &mut spans);
                if number == 0 {
                    let around = Around {
                        text,
                        above,
                        first,
                        second,
                        below,
                    };
                    self.look_over_break(&mut before, &mut line, around, &mut spans);
                    // What is masked says nothing about the lines beside it, now or when the text comes again.
                    above = if before.is_free(&(0..before.len())) { first } else { "" };
                }
            }
            first = second;
        }
        spans.sort_unstable_by_key(|span| span.start);
        joined_up(spans)
    }

    /// Finds what stands in a line.
    fn look(&self, line: &mut Line, spans: &mut Vec<Span>) {
        for _ in 0..ROUNDS_MAX {
            let before = spans.len();
            for (kind, find) in self.wanted() {
                for range in find(line) {
                    if !line.is_free(&range) {
                        continue;
                    }
                    line.take(&range);
                    if !self.allowed.has(kind, line, &range) {
                        spans.extend(self.span(line, kind, &range));
                    }
                }
            }
            if spans.len() == before {
                break;
            }
        }
    }

    /// Finds a number that begins in one line and ends in the next, and then what it frees in both.
    fn look_over_break(&self, first: &mut Line, second: &mut Line, around: Around<'_>, spans: &mut Vec<Span>) {
        let Some(seam) = Seam::between(first, second, around) else {
            return;
        };
        let both = (&*first, &*second);
        let found = self
            .wanted()
            .find_map(|(kind, find)| Some((kind, seam.number(both, kind, find)?)));
        let Some((kind, crossing)) = found else {
            return;
        };
        if !self.allowed.has(kind, &crossing.line, &crossing.range) {
            spans.extend(self.span_over_break(kind, &crossing));
        }
        first.take(&crossing.in_first);
        second.take(&crossing.in_second);
        self.look(first, spans);
        self.look(second, spans);
    }

    /// The kinds that are looked for, and what finds them.
    fn wanted(&self) -> impl Iterator<Item = (Kind, Find)> {
        ORDER
            .into_iter()
            .filter(move |(kind, _)| self.settings.kinds.contains(kind))
    }

    /// Takes what was masked before, with the digits that were left to be seen, so that it is not masked again.
    fn pass_over_masks(&self, line: &mut Line) {
        let (mut place, mut left): (usize, Vec<Range<usize>>) = (0, Vec::new());
        while place < line.len() {
            let Some((kind, end)) = mask_at(line, place) else {
                place += 1;
                continue;
            };
            line.take(&(place..end));
            left.extend(seen_after(line, end, self.settings.visible(kind)).map(|seen| end..seen));
            place = end;
        }
        if left.is_empty() {
            return;
        }
        // People write what looks like a mask, too: `[iban]SA03 8000 …` is no rest of one.
        let whole: Vec<usize> = iban::find(line).into_iter().map(|range| range.start).collect();
        for seen in left {
            if whole.binary_search(&seen.start).is_err() {
                line.take(&seen);
            }
        }
    }

    /// What of a finding is covered: all but the digits at its end that stay to be seen.
    fn span(&self, line: &Line, kind: Kind, range: &Range<usize>) -> Option<Span> {
        let covered = match self.settings.visible(kind) {
            0 => range.end,
            visible => first_seen(line, range, visible)?,
        };
        let bytes = line.bytes(&(range.start..covered))?;
        Some(Span {
            start: bytes.start,
            end: bytes.end,
            label: kind.label().to_owned(),
        })
    }

    /// As [`Self::span`], over a break, which goes with what is covered. Digits stay to be seen if all of them stand behind
    /// it: others would not be known as the rest of a mask.
    fn span_over_break(&self, kind: Kind, crossing: &Crossing) -> Option<Span> {
        let (line, range) = (&crossing.line, &crossing.range);
        let whole = line.bytes(range)?;
        let seen = match self.settings.visible(kind) {
            0 => None,
            visible => first_seen(line, range, visible).filter(|seen| *seen >= crossing.behind),
        };
        let seen = seen.and_then(|seen| line.bytes(&(seen..range.end)));
        Some(Span {
            start: whole.start,
            end: seen.map_or(whole.end, |seen| seen.start),
            label: kind.label().to_owned(),
        })
    }
}

/// The first of so many digits and letters at the end of a range.
fn first_seen(line: &Line, range: &Range<usize>, visible: usize) -> Option<usize> {
    let is_shown = |place: &usize| line.sign(*place).is_some_and(|sign| sign.is_ascii_alphanumeric());
    range.clone().rev().filter(is_shown).nth(visible.checked_sub(1)?)
}

/// The kind of a mask that begins here, and its end.
fn mask_at(line: &Line, start: usize) -> Option<(Kind, usize)> {
    if line.sign(start) != Some('[') {
        return None;
    }
    let is = |kind: &Kind| {
        let mut signs = (start + 1..line.len()).map_while(|place| line.sign(place));
        kind.label()
            .chars()
            .chain([']'])
            .all(|wanted| signs.next() == Some(wanted))
    };
    let kind = Kind::ALL.into_iter().find(is)?;
    Some((kind, start + kind.label().len() + 2))
}

/// The lines of a text, each with its break: of whatever system, or one that stands for a break in print.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let is_break = |sign: char| {
        matches!(
            sign,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut rest = text;
    std::iter::from_fn(move || {
        let line = rest.split_inclusive(is_break).next()?;
        let is_half = line.ends_with('\r') && rest.get(line.len()..).is_some_and(|behind| behind.starts_with('\n'));
        let (line, behind) = rest.split_at_checked(line.len() + usize::from(is_half))?;
        rest = behind;
        Some(line)
    })
}

/// A line in pieces, cut where neither a number nor an address goes on, if there is such a place.
fn pieces(mut line: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = line.split_at_checked(cut(line))?;
        line = rest;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

/// Where the first piece of a line ends.
fn cut(line: &str) -> usize {
    if line.len() <= PIECE_BYTES_MAX {
        return line.len();
    }
    let most = line.floor_char_boundary(PIECE_BYTES_MAX);
    let ends = |sign: char| {
        matches!(
            sign,
            ',' | ';' | '!' | '?' | '"' | '{' | '}' | '<' | '>' | '،' | '؛' | '؟'
        )
    };
    let head = line.get(..most).unwrap_or_default();
    // Right behind the last of these signs.
    let tail = head.rsplit(ends).next().map_or(0, str::len);
    if tail < most { most - tail } else { most }
}

/// The end of up to so many digits that were left to be seen behind a mask.
fn seen_after(line: &Line, start: usize, visible: usize) -> Option<usize> {
    let (mut seen, mut end) = (0, None);
    for place in start..line.len() {
        let sign = line.sign(place)?;
        if sign.is_ascii_alphanumeric() && seen < visible {
            seen += 1;
            end = Some(place + 1);
        } else if seen == 0 || seen == visible || !matches!(sign, ' ' | '-' | '.' | '/' | '(' | ')' | '·' | '•') {
            break;
        }
    }
    end.filter(|end| !line.sign(*end).is_some_and(|sign| sign.is_ascii_alphanumeric()))
}

/// No more spans than the hub takes.
fn joined_up(mut spans: Vec<Span>) -> Vec<Span> {
    if let Some(last) = spans.last().map(|last| last.end).filter(|_| spans.len() > SPANS_MAX) {
        spans.truncate(SPANS_MAX);
        if let Some(kept) = spans.last_mut() {
            kept.end = last;
        }
    }
    spans
}

/// What is never masked.
struct Allowed {
    addresses: Vec<String>,
    domains: Vec<String>,
    numbers: Vec<String>,
}

impl Allowed {
    /// Digits at the end that two ways to dial one telephone have in common.
    const DIALLED: usize = 9;

    fn of(entries: &[String]) -> Self {
        let read = |entry: &String| {
            let mut line = Line::default();
            line.read(entry.trim(), 0);
            let all = 0..line.len();
            (line.text(&all), line.code(&all))
        };
        let (mut addresses, mut domains, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (text, code) in entries.iter().map(read) {
            if text.starts_with('@') {
                domains.push(text);
            } else if text.contains('@') {
                addresses.push(text);
            } else {
                numbers.push(code);
            }
        }
        Self {
            addresses,
            domains,
            numbers,
        }
    }

    fn has(&self, kind: Kind, line: &Line, range: &Range<usize>) -> bool {
        let (text, code) = (line.text(range), line.code(range));
        match kind {
            Kind::Email => self.addresses.contains(&text) || self.domains.iter().any(|domain| text.ends_with(domain)),
            Kind::Phone => self.numbers.iter().any(|number| is_same_telephone(number, &code)),
            Kind::CardNumber | Kind::Iban | Kind::NationalId => self.numbers.contains(&code),
        }
    }
}

/// Whether two spellings call the same telephone: 050 123 4567 and +966 50 123 4567.
fn is_same_telephone(one: &str, other: &str) -> bool {
    let tail = |number: &str| {
        let start = number.len().checked_sub(Allowed::DIALLED)?;
        number.get(start..).map(str::to_owned)
    };
    one == other || tail(one).is_some_and(|end| Some(end) == tail(other))
}

#[cfg(test)]
mod tests {
    use super::{PIECE_BYTES_MAX, lines, pieces};

    #[test]
    fn lines_end_with_the_break_of_any_system() {
        let text = "شكراً\r\n\r\nنعم\rلا\n\u{2028}آخر";
        let found: Vec<&str> = lines(text).collect();
        assert_eq!(found, ["شكراً\r\n", "\r\n", "نعم\r", "لا\n", "\u{2028}", "آخر"]);
        assert_eq!(lines("").count(), 0);
    }

    #[test]
    fn a_long_line_is_cut_between_what_is_looked_for() {
        let said = "جوالي 050 123 4567، وبريدي sara@example.com؛ ".repeat(9_000);
        let cut: Vec<&str> = pieces(&said).collect();
        assert!(cut.len() > 5 && cut.iter().all(|piece| piece.len() <= PIECE_BYTES_MAX));
        assert_eq!(cut.concat(), said);
        for wanted in ["050 123 4567", "sara@example.com"] {
            let found: usize = cut.iter().map(|piece| piece.matches(wanted).count()).sum();
            assert_eq!(found, 9_000, "{wanted}");
        }
    }

    #[test]
    fn a_line_without_such_a_place_is_cut_between_two_letters() {
        for line in [
            "1 ".repeat(1 << 20),
            "ط".repeat(100_000),
            format!(",{}", "٤".repeat(200_000)),
        ] {
            let cut: Vec<&str> = pieces(&line).collect();
            assert!(cut.iter().all(|piece| (1..=PIECE_BYTES_MAX).contains(&piece.len())));
            assert!(cut.concat() == line && cut.len() < line.len() / 30_000);
        }
        assert_eq!(pieces("شكراً\n").collect::<Vec<_>>(), ["شكراً\n"]);
        assert_eq!(pieces("").count(), 0);
    }
}
