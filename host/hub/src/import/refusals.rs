//! What of a file could not become records: counted, and kept word for word up to a bound.

use crate::changes::cut;
use crate::core::Core;
use crate::fault::Fault;
use crate::rows::{self, ImportRow};

use super::source::Source;

/// Refusals of one file that are kept word for word; beyond it they are counted.
const KEPT_MAX: usize = 200;
/// Bytes of what is kept word for word: it shares a row of 100 kB with the cursor.
const KEPT_BYTES_MAX: usize = 60_000;
/// How much of each text is kept.
const TEXT_BYTES_MAX: usize = 400;

/// Refusals of one file: how many, and the first ones in words.
#[derive(Debug, Clone, Default, minicbor::Encode, minicbor::Decode)]
pub(super) struct Refusals {
    #[n(0)]
    pub(super) count: u64,
    /// Place, code and reason.
    #[n(1)]
    pub(super) kept: Vec<(String, String, String)>,
}

/// What sealed refusals are bound to.
fn place(source: &Source) -> Vec<u8> {
    [b"import refusals".as_slice(), &source.id].concat()
}

impl Refusals {
    pub(super) fn read(core: &Core, source: &Source, row: &ImportRow) -> Result<Self, Fault> {
        if row.refusals.is_empty() {
            return Ok(Self::default());
        }
        rows::decode(
            "an import's refusals",
            &core.vault.open_own(&place(source), &row.refusals)?,
        )
    }

    /// Reasons may quote the file, so they are sealed.
    pub(super) fn seal(&self, core: &Core, source: &Source) -> Result<Vec<u8>, Fault> {
        match self.count {
            0 => Ok(Vec::new()),
            _ => Ok(core.vault.seal_own(&place(source), &rows::encode(self)?)?),
        }
    }

    pub(super) fn add(&mut self, place: String, code: String, reason: String) {
        self.count += 1;
        let refusal = (text(place), text(code), text(reason));
        let bytes: usize = self.kept.iter().chain([&refusal]).map(bytes).sum();
        if self.kept.len() < KEPT_MAX && bytes <= KEPT_BYTES_MAX {
            self.kept.push(refusal);
        }
    }

    /// Adds why the rest of the file was not read. It is kept in any case, and with its end: there is one per file.
    pub(super) fn end(&mut self, place: String, code: String, reason: String) {
        const REST: &str = "; the rest of the file was not read";
        self.count += 1;
        let reason = cut(reason, TEXT_BYTES_MAX - REST.len()) + REST;
        self.kept.push((text(place), text(code), reason));
    }
}

fn text(text: String) -> String {
    cut(text, TEXT_BYTES_MAX)
}

fn bytes((place, code, reason): &(String, String, String)) -> usize {
    place.len() + code.len() + reason.len()
}

#[cfg(test)]
mod tests {
    use super::{KEPT_BYTES_MAX, KEPT_MAX, Refusals};
    use crate::rows;

    #[test]
    fn many_long_refusals_fit_a_row_and_the_end_is_always_told() {
        let mut refusals = Refusals::default();
        for line in 0..1_000 {
            refusals.add(
                format!("السطر {line}"),
                "bad-date".into(),
                "التاريخ غير مفهوم ".repeat(100),
            );
        }
        refusals.end("position 9".into(), "gone".into(), "القرص ".repeat(1_000));
        assert_eq!(refusals.count, 1_001);
        let encoded = rows::encode(&refusals).unwrap();
        assert!(
            refusals.kept.len() > 100 && encoded.len() < KEPT_BYTES_MAX + 5_000,
            "{}",
            encoded.len()
        );
        assert!(
            refusals
                .kept
                .last()
                .unwrap()
                .2
                .ends_with("the rest of the file was not read")
        );
    }

    #[test]
    fn many_short_refusals_are_counted() {
        let mut refusals = Refusals::default();
        for line in 0..500 {
            refusals.add(format!("line {line}"), "empty".into(), "فارغ".into());
        }
        assert_eq!((refusals.count, refusals.kept.len()), (500, KEPT_MAX));
    }
}
