//! What was measured, as a part of a page of the documentation.

use std::path::Path;

/// Replaces the figures of one part of a page. What stands between the marks of a part is written by this program alone.
///
/// # Panics
/// When the page is not there or does not say where they belong.
pub(super) fn rewrite(page: &Path, part: &str, figures: &str) {
    let text = std::fs::read_to_string(page).unwrap();
    let changed = between(&text, part, figures);
    let changed = changed.unwrap_or_else(|| panic!("{} holds no marks of figures: {part}", page.display()));
    std::fs::write(page, changed).unwrap();
}

fn between(page: &str, part: &str, figures: &str) -> Option<String> {
    let [begin, end] = ["begin", "end"].map(|mark| format!("<!-- figures: {part}: {mark} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", figures.trim()))
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn only_what_lies_between_the_marks_of_a_part_changes() {
        let page = |figures: &str| {
            format!(
                "قبل\n<!-- figures: ingest: begin -->{figures}<!-- figures: ingest: end -->\n\
                <!-- figures: growth: begin -->\nold\n<!-- figures: growth: end -->\nafter\n"
            )
        };
        let once = between(&page("\nold\n"), "ingest", "١٢٣\n").unwrap();
        assert_eq!(once, page("\n\n١٢٣\n\n"));
        assert_eq!(between(&once, "ingest", "١٢٣").unwrap(), once);
        assert!(between(&once, "another", "1").is_none());
    }
}
