//! What departments say became of an item in their own tools: the item is found by what they call it, each report is kept
//! once, and the newest by the department's own clock is where the item stands with it.

mod checked;
mod index;
mod keeping;
mod story;
#[cfg(test)]
mod tests;

pub(crate) use index::{Remains, anew, named, remains};
#[cfg(test)]
use keeping::Reported;
pub(crate) use keeping::plan;
pub use story::StatusRecord;
pub(crate) use story::{place, told};

use mihwar_store::Key;

use crate::core::Core;
use crate::fault::Fault;
use crate::rows::{self, ReportContent, ReportRow};
use crate::vault::{ContactKey, SALT_BYTES, VaultError, commitment};

/// What errors call the words of a report.
const WORDS: &str = "a department's report";

/// Seals what came with a report for the place where its row lies. Answers it with its commitment.
fn sealed(core: &Core, key: &ContactKey, place: &Key, content: &ReportContent) -> Result<(Vec<u8>, [u8; 32]), Fault> {
    let plain = rows::encode(content)?;
    let salt = core.vault.random::<SALT_BYTES>();
    let salted = [salt.as_slice(), &plain].concat();
    let words = core.vault.seal_for(key, place.as_bytes(), &salted)?;
    Ok((words, commitment(&salt, &plain)))
}

/// Opens what came with a report; answers it with its commitment, or nothing where nothing came.
pub(crate) fn opened(
    core: &Core,
    key: &ContactKey,
    place: &Key,
    row: &ReportRow,
) -> Result<Option<(ReportContent, [u8; 32])>, Fault> {
    if row.words.is_empty() {
        return Ok(None);
    }
    let salted = core.vault.open_for(key, place.as_bytes(), &row.words)?;
    let (salt, plain) = salted
        .split_first_chunk::<SALT_BYTES>()
        .ok_or(VaultError::Unreadable { what: WORDS })?;
    Ok(Some((rows::decode(WORDS, plain)?, commitment(salt, plain))))
}
