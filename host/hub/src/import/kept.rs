//! An import's row as it lies in the store: what its plugin's cursor says is the plugin's own, and may name what was read
//! last. So it is sealed.

use minicbor::bytes::ByteVec;

use super::source::Source;
use crate::core::Core;
use crate::fault::Fault;
use crate::rows::ImportRow;

/// What a sealed cursor is bound to.
fn place(source: &Source) -> Vec<u8> {
    [b"import cursor".as_slice(), &source.id].concat()
}

/// The row to write.
pub(super) fn sealed(core: &Core, source: &Source, row: ImportRow) -> Result<ImportRow, Fault> {
    let Some(cursor) = &row.cursor else { return Ok(row) };
    let sealed = core.vault.seal_own(&place(source), cursor.as_bytes())?;
    Ok(ImportRow {
        cursor: None,
        sealed_cursor: Some(ByteVec::from(sealed)),
        ..row
    })
}

/// The row that was read, to go on with.
pub(super) fn opened(core: &Core, source: &Source, row: ImportRow) -> Result<ImportRow, Fault> {
    let Some(sealed) = &row.sealed_cursor else {
        return Ok(row);
    };
    let cursor = core.vault.open_own(&place(source), sealed)?;
    Ok(ImportRow {
        cursor: Some(String::from_utf8_lossy(&cursor).into_owned()),
        sealed_cursor: None,
        ..row
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::Time;
    use mihwar_store::MemoryStore;

    use super::*;
    use crate::rows;

    fn source(id: u8) -> Source {
        Source {
            path: "بريد/هدى.eml".into(),
            name: "هدى.eml".to_owned(),
            size: 9,
            modified: None,
            id: [id; 16],
        }
    }

    #[test]
    fn a_cursor_that_names_somebody_is_sealed_and_one_of_before_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let core = Core::for_tests(Arc::new(MemoryStore::new()), folder.path(), Time(1_790_000_000_000));
        let row = ImportRow {
            cursor: Some("after هدى.eml".to_owned()),
            new: 7,
            ..ImportRow::default()
        };
        let kept = rows::encode(&sealed(&core, &source(1), row.clone()).unwrap()).unwrap();
        let name = "هدى".as_bytes();
        assert!(!kept.windows(name.len()).any(|bytes| bytes == name));
        let read: ImportRow = rows::decode("an import's progress", &kept).unwrap();
        assert!(
            opened(&core, &source(2), read.clone()).is_err(),
            "it is of another file"
        );
        assert_eq!(opened(&core, &source(1), read).unwrap(), row);
        assert_eq!(opened(&core, &source(1), row.clone()).unwrap(), row);
        let begun = ImportRow::default();
        assert_eq!(sealed(&core, &source(1), begun.clone()).unwrap(), begun);
    }
}
