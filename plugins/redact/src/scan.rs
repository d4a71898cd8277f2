//! Looking through a text, line by line: all kinds, what is masked already, what is allowed, and what of it is covered.

use std::ops::Range;

use mihwar_sdk::Span;

use crate::line::Line;
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

/// Something that was found, and where in its line.
struct Found {
    kind: Kind,
    range: Range<usize>,
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
        let (mut spans, mut line, mut start): (Vec<Span>, Line, usize) = (Vec::new(), Line::default(), 0);
        for part in text.split_inclusive('\n').flat_map(pieces) {
            line.read(part, start);
            start += part.len();
            let mut found = self.found(&mut line);
            found.sort_by_key(|found| found.range.start);
            spans.extend(found.iter().filter_map(|found| self.span(&line, found)));
        }
        joined_up(spans)
    }

    fn found(&self, line: &mut Line) -> Vec<Found> {
        self.pass_over_masks(line);
        let mut all = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let before = all.len();
            for (kind, find) in ORDER {
                if !self.settings.kinds.contains(&kind) {
                    continue;
                }
                for range in find(line) {
                    if !line.is_free(&range) {
                        continue;
                    }
                    line.take(&range);
                    if !self.allowed.has(kind, line, &range) {
                        all.push(Found { kind, range });
                    }
                }
            }
            if all.len() == before {
                break;
            }
        }
        all
    }

    /// Takes what was masked before, with the digits that were left to be seen, so that it is not masked again.
    fn pass_over_masks(&self, line: &mut Line) {
        let mut place = 0;
        while place < line.len() {
            match self.mask_at(line, place) {
                Some(end) => {
                    line.take(&(place..end));
                    place = end;
                }
                None => place += 1,
            }
        }
    }

    /// The end of a mask that begins here.
    fn mask_at(&self, line: &Line, start: usize) -> Option<usize> {
        if line.sign(start) != Some('[') {
            return None;
        }
        let is = |kind: Kind| {
            let mut signs = (start + 1..line.len()).map_while(|place| line.sign(place));
            kind.label()
                .chars()
                .chain([']'])
                .all(|wanted| signs.next() == Some(wanted))
        };
        let kind = Kind::ALL.into_iter().find(|kind| is(*kind))?;
        let end = start + kind.label().len() + 2;
        Some(seen_after(line, end, self.settings.visible(kind)).unwrap_or(end))
    }

    /// What of a finding is covered: all but the digits at its end that stay to be seen.
    fn span(&self, line: &Line, found: &Found) -> Option<Span> {
        let Range { start, end } = found.range;
        let places = (start..end).rev();
        let mut shown = places.filter(|place| line.sign(*place).is_some_and(|sign| sign.is_ascii_alphanumeric()));
        let covered = match self.settings.visible(found.kind) {
            0 => end,
            visible => shown.nth(visible - 1)?,
        };
        let bytes = line.bytes(&(start..covered))?;
        Some(Span {
            start: bytes.start,
            end: bytes.end,
            label: found.kind.label().to_owned(),
        })
    }
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
    use super::{PIECE_BYTES_MAX, pieces};

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
