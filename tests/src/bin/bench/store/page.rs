//! What was measured, as a part of a page of the documentation.

use std::path::Path;

/// Where the figures of a page begin and end. What stands between is written by this program alone.
const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// Replaces the figures of a page.
///
/// # Panics
/// When the page is not there or does not say where they belong.
pub(super) fn rewrite(page: &Path, figures: &str) {
    let text = std::fs::read_to_string(page).unwrap();
    let changed = between(&text, figures);
    let changed = changed.unwrap_or_else(|| panic!("{} holds no {BEGIN} and {END}", page.display()));
    std::fs::write(page, changed).unwrap();
}

fn between(page: &str, figures: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", figures.trim()))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, between};

    #[test]
    fn only_what_lies_between_the_marks_changes() {
        let page = format!("قبل\n{BEGIN}\nold\n{END}\nafter\n");
        let once = between(&page, "١٢٣\n").unwrap();
        assert_eq!(once, format!("قبل\n{BEGIN}\n\n١٢٣\n\n{END}\nafter\n"));
        assert_eq!(between(&once, "١٢٣").unwrap(), once);
        assert!(between("no marks", "1").is_none());
    }
}
