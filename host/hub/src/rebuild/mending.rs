//! Putting right what differs, in pieces that are each on disk as a whole.

use mihwar_store::{Batch, Edit, Guard, Key};

use super::compare::Difference;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;

/// Rows in one piece. Few in tests, so that a little damage has many pieces.
const EDITS_MAX: usize = if cfg!(test) { 3 } else { 20_000 };
/// Bytes in one piece.
const BYTES_MAX: usize = 4_000_000;

/// Says that read models are being mended: where it is found, that was cut off.
pub(crate) fn mark() -> Key {
    keys::setting("read-models-mending")
}

/// The read models of a store, being mended. The row that says where they stand is written last, together with the
/// removal of the mark, and every piece is guarded by it.
pub(crate) struct Mending<'a> {
    core: &'a Core,
    guard: Guard,
    edits: Vec<Edit>,
    bytes: usize,
    position: Option<Edit>,
    is_marked: bool,
}

impl<'a> Mending<'a> {
    pub(crate) fn new(core: &'a Core, guard: Guard, is_marked: bool) -> Self {
        Self {
            core,
            guard,
            edits: Vec::new(),
            bytes: 0,
            position: None,
            is_marked,
        }
    }

    pub(crate) async fn take(&mut self, difference: Difference) -> Result<(), Fault> {
        let edit = match difference {
            Difference::Missing(row) | Difference::Different(row) => Edit::Put(row.key, row.value.bytes),
            Difference::Surplus(row) => Edit::Delete(row.key),
        };
        if *edit.key() == keys::position() {
            self.position = Some(edit);
            return Ok(());
        }
        self.bytes += edit.size();
        self.edits.push(edit);
        if self.edits.len() >= EDITS_MAX || self.bytes >= BYTES_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let mut edits = std::mem::take(&mut self.edits);
        self.bytes = 0;
        if !self.is_marked {
            edits.push(Edit::Put(mark(), Vec::new()));
            self.is_marked = true;
        }
        self.apply(edits).await
    }

    /// The last piece. Writes nothing where nothing differs.
    pub(crate) async fn finish(mut self) -> Result<(), Fault> {
        let mut edits = std::mem::take(&mut self.edits);
        edits.extend(self.position.take());
        if self.is_marked {
            edits.push(Edit::Delete(mark()));
        }
        if edits.is_empty() {
            return Ok(());
        }
        self.apply(edits).await
    }

    async fn apply(&self, edits: Vec<Edit>) -> Result<(), Fault> {
        let batch = Batch {
            guards: vec![self.guard.clone()],
            edits,
            ..Batch::default()
        };
        self.core.apply_patiently(batch).await
    }
}
