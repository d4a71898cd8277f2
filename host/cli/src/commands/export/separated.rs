//! A table as CSV (RFC 4180), which people open in a spreadsheet.
//!
//! - UTF-8, lines end in CR LF, the first one names the columns. Text stands in quotes, always, and a quote in it is doubled;
//!   line ends, marks of writing direction and whatever else a text holds are kept. Numbers and truths stand bare.
//! - Nothing between two separators is what the record does not have; `""` is an empty text.
//! - Several names (tags, departments) stand in one cell with spaces between them; they hold none. What has an inner form is
//!   JSON, as in NDJSON. Times are RFC 3339 in UTC.
//! - **No cell is a formula.** Where a spreadsheet may take a text for one, it gets an apostrophe, as OWASP advises ("CSV
//!   injection"): see [`begins_formula`]. Numbers are numbers and get none.
//! - **Not even where the separator is another.** Excel splits a file by the regional settings of its computer, whatever the
//!   file's own separator is; quotes protect nothing then, and a cell may begin behind any `,` `;`, tab or line end within a text.
//!   So each piece of a text behind one of these (but for the file's own separator) is looked at as the text itself is.
//! - It can be taken back exactly: a piece that has apostrophes before what looks like a formula gets one more. Whoever reads
//!   the file with a program removes one from each piece in which, behind all of them, a formula would begin; the tests here do.

use std::io::{self, Write};

use mihwar_server::wire::FeedbackView;

use super::columns::{COLUMNS, Cell};
use crate::args::Separator;

/// How Excel knows UTF-8.
const BYTE_ORDER_MARK: &str = "\u{FEFF}";
/// What a formula begins with: in ASCII, and in the wide and small forms that some editions of spreadsheets take for it.
const FORMULA: [char; 13] = [
    '=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '\u{2212}',
];

type Boundaries = [char; 4];

/// The character between cells, and what else a spreadsheet may take for one.
const fn separation(separator: Separator) -> (char, Boundaries) {
    match separator {
        Separator::Comma => (',', [';', '\t', '\r', '\n']),
        Separator::Semicolon => (';', [',', '\t', '\r', '\n']),
        Separator::Tab => ('\t', [',', ';', '\r', '\n']),
    }
}

/// A table that is being written.
pub(super) struct Separated<W> {
    out: W,
    separator: char,
    /// Behind these a cell may begin where another separator is expected.
    boundaries: Boundaries,
    /// The line that is being made.
    line: String,
}

impl<W: Write> Separated<W> {
    /// Writes the names of the columns.
    pub(super) fn begin(mut out: W, separator: Separator, has_bom: bool) -> io::Result<Self> {
        let (separator, boundaries) = separation(separator);
        if has_bom {
            out.write_all(BYTE_ORDER_MARK.as_bytes())?;
        }
        let mut table = Self {
            out,
            separator,
            boundaries,
            line: String::new(),
        };
        for column in COLUMNS {
            table.next_cell();
            table.line.push_str(column.name);
        }
        table.end_line()?;
        Ok(table)
    }

    pub(super) fn write(&mut self, record: &FeedbackView) -> io::Result<()> {
        for column in COLUMNS {
            self.next_cell();
            self.cell((column.read)(record));
        }
        self.end_line()
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The first column is never empty, so a line that is empty still has none.
    fn next_cell(&mut self) {
        if !self.line.is_empty() {
            self.line.push(self.separator);
        }
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.line.push_str("\r\n");
        self.out.write_all(self.line.as_bytes())?;
        self.line.clear();
        Ok(())
    }

    fn cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Nothing | Cell::Names([]) | Cell::Scores([]) => {}
            Cell::Text(text) => self.text(&text),
            Cell::Integer(number) => self.line.push_str(&number.to_string()),
            Cell::Number(number) => self.line.push_str(&number.to_string()),
            Cell::Truth(truth) => self.line.push_str(if truth { "true" } else { "false" }),
            Cell::Time(time) => self.text(&time.to_rfc3339()),
            Cell::Names(names) => self.text(&names.join(" ")),
            Cell::Scores(scores) => {
                // Scores come from JSON: their numbers are finite, so they have a form there.
                self.text(&serde_json::to_string(scores).unwrap_or_default());
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.line.push('"');
        for (place, piece) in text.split_inclusive(self.boundaries).enumerate() {
            if begins_formula(piece, place == 0) {
                self.line.push('\'');
            }
            for part in piece.split_inclusive('"') {
                self.line.push_str(part);
                if part.ends_with('"') {
                    self.line.push('"');
                }
            }
        }
        self.line.push('"');
    }
}

/// Whether a spreadsheet may take a piece of a text for a formula, behind the apostrophes that it has: behind what is passed
/// over (spaces, control characters, marks of writing direction; quotes, which are taken away where they seem to open a
/// cell) it begins with one of [`FORMULA`]. The beginning of the text may not be a tab or a line end either.
fn begins_formula(piece: &str, is_first: bool) -> bool {
    let bare = piece.trim_start_matches('\'');
    is_first && bare.starts_with(['\t', '\r', '\n']) || bare.trim_start_matches(is_passed_over).starts_with(FORMULA)
}

fn is_passed_over(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '"' | '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
        )
}

#[cfg(test)]
mod tests {
    use mihwar_server::wire::{ContentView, FeedbackView};
    use proptest::prelude::*;

    use super::super::columns::COLUMNS;
    use super::super::tests::record;
    use super::{Separated, begins_formula, separation};
    use crate::args::Separator;

    /// The text of a cell as it was before it was written: what a program that reads the file back has to do.
    fn original(cell: &str, separator: Separator) -> String {
        let (_, boundaries) = separation(separator);
        let pieces = cell.split_inclusive(boundaries).enumerate();
        let bare = |(place, piece): (usize, &str)| match piece.strip_prefix('\'') {
            Some(rest) if begins_formula(piece, place == 0) => rest.to_owned(),
            _ => piece.to_owned(),
        };
        pieces.map(bare).collect()
    }

    fn written(records: &[FeedbackView], separator: Separator, has_bom: bool) -> String {
        let mut out = Vec::new();
        let mut table = Separated::begin(&mut out, separator, has_bom).unwrap();
        records.iter().for_each(|record| table.write(record).unwrap());
        table.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn with_body(body: &str) -> FeedbackView {
        FeedbackView {
            content: Some(ContentView {
                body: body.to_owned(),
                ..ContentView::default()
            }),
            ..record()
        }
    }

    /// The cells of the first record, read by the crate that everybody reads CSV with.
    fn read(text: &str, separator: u8) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .from_reader(text.as_bytes());
        let headers = reader.headers().unwrap().clone();
        assert_eq!(headers.len(), COLUMNS.len());
        let cells = reader.records().next().unwrap().unwrap();
        cells.iter().map(ToOwned::to_owned).collect()
    }

    fn cell(text: &str, name: &str) -> String {
        let place = COLUMNS.iter().position(|column| column.name == name).unwrap();
        read(text, b',').swap_remove(place)
    }

    #[test]
    fn what_a_person_wrote_is_kept_whatever_is_in_it() {
        for body in [
            "قالت: «شكرًا»، ثم \"لا\"",
            "سطر\r\nوسطر\nوثالث, and a comma; and\ta tab, 5-3",
            "\u{202E}مقلوب\u{202C} \u{2067}هدى\u{2069}",
            "\"",
            "",
        ] {
            for (separator, byte) in [
                (Separator::Comma, b','),
                (Separator::Semicolon, b';'),
                (Separator::Tab, b'\t'),
            ] {
                let text = written(&[with_body(body)], separator, false);
                assert!(read(&text, byte).iter().any(|cell| cell == body), "{body:?} in {text}");
            }
        }
    }

    #[test]
    fn no_text_is_a_formula() {
        for body in [
            "=HYPERLINK(\"http://x\",\"اضغط\")",
            "+١٢٣",
            "-٥ درجات",
            "@SUM(1)",
            "\tنص",
            "\rنص",
            "\nنص",
            "＝１＋１",
            "＠هدى",
            "﹣٧",
            "  =1",
            "\u{200F}=cmd|'/c calc'!A0",
            "\u{FEFF}-1",
            "'=1",
            "\"=1\"",
        ] {
            let text = written(&[with_body(body)], Separator::Comma, false);
            let shown = cell(&text, "body");
            assert_eq!(shown, format!("'{body}"));
            assert_eq!(original(&shown, Separator::Comma), body);
        }
        for harmless in ["٥ - ٣ = ٢", "'مقتبس'", "a=b", "", "١٢٣", "{\"a\":\"=1\"}", "أ، -ب, =ج"] {
            let text = written(&[with_body(harmless)], Separator::Comma, false);
            assert_eq!(cell(&text, "body"), harmless);
        }
    }

    #[test]
    fn a_spreadsheet_that_splits_elsewhere_finds_no_formula_either() {
        let body = "شكرًا; =1+1;\"=2\"\n- بند\r\n@هدى\t'-٣, =4";
        for (separator, shown) in [
            (Separator::Comma, "شكرًا;' =1+1;'\"=2\"\n'- بند\r\n'@هدى\t''-٣, =4"),
            (Separator::Semicolon, "شكرًا; =1+1;\"=2\"\n'- بند\r\n'@هدى\t''-٣,' =4"),
            (Separator::Tab, "شكرًا;' =1+1;'\"=2\"\n'- بند\r\n'@هدى\t'-٣,' =4"),
        ] {
            let text = written(&[with_body(body)], separator, false);
            let (byte, _) = separation(separator);
            let cells = read(&text, u8::try_from(byte).unwrap());
            assert!(cells.iter().any(|cell| cell == shown), "{separator:?}: {cells:?}");
            assert_eq!(original(shown, separator), body);
        }
    }

    #[test]
    fn numbers_stay_numbers_and_nothing_is_not_an_empty_text() {
        let mut given = with_body("");
        given.sentiment = Some(-0.5);
        given.kind = None;
        let text = written(&[given], Separator::Comma, false);
        assert_eq!(cell(&text, "sentiment"), "-0.5");
        let line = text.lines().nth(1).unwrap();
        assert!(line.contains(",-0.5,"), "{line}");
        assert!(line.contains(",\"\","), "the empty body in {line}");
        assert!(line.starts_with("\"01"), "{line}");
        assert_eq!(cell(&text, "kind"), "");
    }

    #[test]
    fn a_table_without_records_has_its_columns() {
        let text = written(&[], Separator::Semicolon, true);
        assert!(text.starts_with("\u{FEFF}id;revision;"), "{text}");
        assert!(text.ends_with(";source_attributes\r\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn several_names_and_scores_have_one_cell() {
        let text = written(&[record()], Separator::Comma, false);
        assert_eq!(cell(&text, "tags"), "شحن delay");
        assert_eq!(cell(&text, "score_nps"), "3");
        assert_eq!(
            cell(&text, "scores"),
            r#"[{"metric":"nps","value":3.0,"min":0.0,"max":10.0}]"#
        );
        assert_eq!(
            cell(&text, "author_identifiers"),
            r#"[{"scheme":"tel","id":"+966500000001"}]"#
        );
        assert_eq!(cell(&text, "occurred_at"), "2026-11-22T06:30:00.000Z");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "['=+@\\-＝ \t\r\n\"\u{200F}a٣,;]{0,12}|\\PC{0,40}", separator in 0_usize..3) {
            let separator = [Separator::Comma, Separator::Semicolon, Separator::Tab][separator];
            let table = written(&[with_body(&text)], separator, true);
            let (byte, boundaries) = separation(separator);
            let place = COLUMNS.iter().position(|column| column.name == "body").unwrap();
            let shown = read(&table, u8::try_from(byte).unwrap()).swap_remove(place);
            for (place, piece) in shown.split(boundaries).enumerate() {
                let is_bare = !piece.starts_with('\'');
                prop_assert!(!(is_bare && begins_formula(piece, place == 0)), "{piece:?} of {shown:?}");
            }
            prop_assert_eq!(original(&shown, separator), text);
        }
    }
}
