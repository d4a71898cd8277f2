//! A table as CSV (RFC 4180), which people open in a spreadsheet.
//!
//! - UTF-8, lines end in CR LF, the first one names the columns. Text stands in quotes, always, and a quote in it is doubled;
//!   line ends, marks of writing direction and whatever else a text holds are kept. Numbers and truths stand bare.
//! - Nothing between two separators is what the record does not have; `""` is an empty text.
//! - Several names (tags, departments) stand in one cell with spaces between them; they hold none. What has an inner form is
//!   JSON, as in NDJSON. Times are RFC 3339 in UTC.
//! - **No cell is a formula.** A text that a spreadsheet may take for one gets an apostrophe before it, as OWASP advises ("CSV
//!   injection"): see [`is_formula`]. Numbers are numbers and get none. So that this can be taken back exactly, a text that has
//!   apostrophes before what looks like a formula gets one more. Whoever reads the file with a program removes one apostrophe
//!   where, behind all of them, a formula would begin; the tests here do.

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

/// A table that is being written.
pub(super) struct Separated<W> {
    out: W,
    separator: char,
    /// The line that is being made.
    line: String,
}

impl<W: Write> Separated<W> {
    /// Writes the names of the columns.
    pub(super) fn begin(mut out: W, separator: Separator, has_bom: bool) -> io::Result<Self> {
        let separator = match separator {
            Separator::Comma => ',',
            Separator::Semicolon => ';',
            Separator::Tab => '\t',
        };
        if has_bom {
            out.write_all(BYTE_ORDER_MARK.as_bytes())?;
        }
        let mut table = Self {
            out,
            separator,
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
        if is_formula(text.trim_start_matches('\'')) {
            self.line.push('\'');
        }
        let mut pieces = text.split('"');
        self.line.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            self.line.push_str("\"\"");
            self.line.push_str(piece);
        }
        self.line.push('"');
    }
}

/// Whether a spreadsheet may take a text for a formula: it begins with a tab or a line end, or, behind what is not seen
/// (spaces, control characters, marks of writing direction), with one of [`FORMULA`].
fn is_formula(text: &str) -> bool {
    text.starts_with(['\t', '\r', '\n']) || text.trim_start_matches(is_unseen).starts_with(FORMULA)
}

fn is_unseen(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
        )
}

/// The text of a cell as it was before it was written: what a program that reads the file back has to do.
#[cfg(test)]
pub(super) fn original(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(cell.trim_start_matches('\'')) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use mihwar_server::wire::{ContentView, FeedbackView};
    use proptest::prelude::*;

    use super::super::columns::COLUMNS;
    use super::super::tests::record;
    use super::{Separated, is_formula, original};
    use crate::args::Separator;

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
            "سطر\r\nوسطر\nوثالث, and a comma; and\ta tab",
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
            "\t=1+1",
            "\r=1+1",
            "\n=1+1",
            "＝１＋１",
            "＠هدى",
            "﹣٧",
            "  =1",
            "\u{200F}=cmd|'/c calc'!A0",
            "\u{FEFF}-1",
            "'=1",
        ] {
            let text = written(&[with_body(body)], Separator::Comma, false);
            let shown = cell(&text, "body");
            assert_eq!(shown, format!("'{body}"));
            assert_eq!(original(&shown), body);
        }
        for harmless in ["٥ - ٣ = ٢", "'مقتبس'", "a=b", "", "١٢٣", "{\"a\":\"=1\"}"] {
            let text = written(&[with_body(harmless)], Separator::Comma, false);
            assert_eq!(cell(&text, "body"), harmless);
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
        fn every_text_comes_back(text in "['=+@\\-＝ \t\r\n\"\u{200F}a٣,;]{0,8}|\\PC{0,40}") {
            let table = written(&[with_body(&text)], Separator::Comma, true);
            let shown = cell(&table, "body");
            prop_assert!(!is_formula(&shown));
            prop_assert_eq!(original(&shown), text);
        }
    }
}
