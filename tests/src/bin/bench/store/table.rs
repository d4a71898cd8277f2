//! Figures in columns: for a terminal, and for a page.

/// A table whose rows have as many cells as its head.
#[derive(Debug, Clone)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.head.len(), "a cell for each column");
        self.rows.push(row);
    }

    /// Words at the left of their column, figures at the right.
    pub(super) fn text(&self) -> String {
        let lines =
            || std::iter::once(self.head.iter().map(|cell| (*cell).to_owned()).collect()).chain(self.rows.clone());
        let width = |column: usize| {
            let cells = lines().filter_map(move |line: Vec<String>| line.get(column).map(|cell| cell.chars().count()));
            cells.max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..self.head.len()).map(width).collect();
        let line = |cells: Vec<String>| {
            let cells = cells.iter().zip(&widths).enumerate();
            let padded = cells.map(|(column, (cell, width))| {
                if self.holds_words(column) {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        lines().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The same in Markdown.
    pub(super) fn markdown(&self) -> String {
        let rule = (0..self.head.len()).map(|column| if self.holds_words(column) { "---" } else { "---:" });
        let head = format!(
            "| {} |\n|{}|",
            self.head.join(" | "),
            rule.collect::<Vec<_>>().join("|")
        );
        let rows = self.rows.iter().map(|row| format!("\n| {} |", row.join(" | ")));
        head + &rows.collect::<String>()
    }

    /// Whether the column begins with a letter in its first row.
    fn holds_words(&self, column: usize) -> bool {
        let first = self.rows.first().and_then(|row| row.get(column)?.chars().next());
        first.is_some_and(char::is_alphabetic)
    }
}

/// `1234567` as `1 234 567`.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let length = digits.len();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (length - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds with as many places as tell something.
pub(super) fn millis(span: std::time::Duration) -> String {
    let millis = span.as_secs_f64() * 1e3;
    if millis < 10.0 {
        format!("{millis:.2} ms")
    } else if millis < 10_000.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.1} s", millis / 1e3)
    }
}

/// Bytes in units that people read.
pub(super) fn bytes(number: u64) -> String {
    format!("{} MB", grouped(number as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::{Table, grouped};

    #[test]
    fn figures_stand_at_the_right() {
        let mut table = Table::new(&["side", "records/s"]);
        table.add(vec!["mihwar".to_owned(), grouped(12_345.4)]);
        table.add(vec!["محور".to_owned(), grouped(999.0)]);
        assert_eq!(table.text(), "side    records/s\nmihwar     12 345\nمحور          999");
        assert_eq!(
            table.markdown(),
            "| side | records/s |\n|---|---:|\n| mihwar | 12 345 |\n| محور | 999 |"
        );
    }
}
