//! What is wrong with a value: as much of it as anybody will read.

use std::collections::{BTreeSet, HashSet};

use mihwar_model::FieldProblem;

/// Most faults that are told of one value.
const FAULTS_TOLD_MAX: usize = 100;
/// Longest path of a field, in letters: names in it may be the caller's own.
const FIELD_CHARS_MAX: usize = 200;
/// Longest message, in letters: some repeat what the caller wrote.
const MESSAGE_CHARS_MAX: usize = 600;

/// What is wrong with a value: the first [`FAULTS_TOLD_MAX`] faults, and how many there are besides. Its size does not
/// grow with what a caller sends.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Faults {
    told: Vec<FieldProblem>,
    untold: usize,
    /// Lists of known fields that were given already.
    known_fields_told: BTreeSet<String>,
}

impl Faults {
    /// Notes one. `fault` is asked for its words only while there is room for them.
    pub(crate) fn note(&mut self, fault: impl FnOnce() -> FieldProblem) {
        if self.told.len() >= FAULTS_TOLD_MAX {
            self.untold += 1;
            return;
        }
        let FieldProblem { field, message } = fault();
        self.told.push(FieldProblem {
            field: shortened(field, FIELD_CHARS_MAX),
            message: shortened(message, MESSAGE_CHARS_MAX),
        });
    }

    /// Notes those that concern fields of which nothing was said yet: one fault per field is enough.
    pub(crate) fn note_untouched(&mut self, further: impl IntoIterator<Item = FieldProblem>) {
        let named: HashSet<String> = self.told.iter().map(|fault| fault.field.clone()).collect();
        let above = self.told.iter().flat_map(|fault| levels(&fault.field));
        let above: HashSet<String> = above.map(ToOwned::to_owned).collect();
        for fault in further {
            let touched = above.contains(&fault.field) || levels(&fault.field).any(|level| named.contains(level));
            if !touched {
                self.note(|| fault);
            }
        }
    }

    /// Whether this list of known fields was not given before; from now on it counts as given.
    pub(crate) fn names_for_the_first_time(&mut self, known: &str) -> bool {
        self.told.len() < FAULTS_TOLD_MAX && self.known_fields_told.insert(known.to_owned())
    }

    /// Whether nothing is wrong.
    pub(crate) const fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// The faults that are told, in the order in which they were found.
    pub(crate) fn told(&self) -> &[FieldProblem] {
        &self.told
    }

    /// How many there are besides.
    pub(crate) const fn untold(&self) -> usize {
        self.untold
    }

    /// The faults that are told, taken out.
    pub(crate) fn into_told(self) -> Vec<FieldProblem> {
        self.told
    }
}

impl From<FieldProblem> for Faults {
    fn from(fault: FieldProblem) -> Self {
        Self::from(vec![fault])
    }
}

impl From<Vec<FieldProblem>> for Faults {
    fn from(found: Vec<FieldProblem>) -> Self {
        let mut faults = Self::default();
        for fault in found {
            faults.note(|| fault);
        }
        faults
    }
}

/// A path and everything that it is a part of, from the whole value (the empty path) down to itself.
fn levels(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.char_indices().filter(|(_, c)| matches!(c, '.' | '['));
    let ends = std::iter::once(0).chain(inner.map(|(i, _)| i)).chain([path.len()]);
    ends.filter_map(|end| path.get(..end))
}

fn shortened(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::{FAULTS_TOLD_MAX, Faults, levels};
    use mihwar_model::FieldProblem;

    fn fields(faults: &Faults) -> Vec<&str> {
        faults.told().iter().map(|fault| fault.field.as_str()).collect()
    }

    #[test]
    fn the_first_hundred_are_told_and_the_rest_are_counted() {
        let many: Vec<_> = (0..250).map(|i| FieldProblem::new(format!("حقل{i}"), "خطأ")).collect();
        let faults = Faults::from(many);
        assert_eq!((faults.told().len(), faults.untold()), (FAULTS_TOLD_MAX, 150));
        assert_eq!(fields(&faults)[99], "حقل99");
    }

    #[test]
    fn a_caller_s_own_words_do_not_come_back_without_end() {
        let faults = Faults::from(FieldProblem::new("ح".repeat(100_000), "خ".repeat(100_000)));
        let told = &faults.told()[0];
        assert_eq!(told.field.chars().count(), 201);
        assert_eq!(told.message.chars().count(), 601);
    }

    #[test]
    fn one_fault_per_field_is_enough_and_likeness_of_names_hides_nothing() {
        let mut faults = Faults::from(vec![
            FieldProblem::new("scores[1].min", "is needed"),
            FieldProblem::new("body_html", "should be text"),
            FieldProblem::new("author", "should be an object"),
        ]);
        let further = [
            "scores[1]",
            "scores[1].value",
            "scores[10]",
            "body",
            "author.name",
            "body_html",
        ];
        faults.note_untouched(further.map(|field| FieldProblem::new(field, "…")));
        let told = [
            "scores[1].min",
            "body_html",
            "author",
            "scores[1].value",
            "scores[10]",
            "body",
        ];
        assert_eq!(fields(&faults), told);
        // When the whole value is wrong, nothing in it is worth a word.
        let mut whole = Faults::from(FieldProblem::new("", "should be an object"));
        whole.note_untouched([FieldProblem::new("body", "…")]);
        assert_eq!(fields(&whole), [""]);
    }

    #[test]
    fn a_path_lies_within_its_beginnings() {
        let found: Vec<_> = levels("نتائج[2].قيمة").collect();
        assert_eq!(found, ["", "نتائج", "نتائج[2]", "نتائج[2].قيمة"]);
    }
}
