//! Files beside the store: whatever names one has a row that says so, by which a backup takes it along; and whatever has
//! such a row is named by something.

use mihwar_model::AttachmentId;
use mihwar_store::{Key, MAX_PAGE_ROWS, Order, Row, Space};

use super::Verification;
use crate::content::blob_of;
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, InboxDeadRow};
use crate::withdrawal;

/// Rows of files looked up together.
const FILES_AT_ONCE: usize = 1_000;

/// What is known of files so far. Only counted, never held: there are as many as there are attachments.
#[derive(Default)]
pub(super) struct Tally {
    /// Files that something names and that have their row.
    named: u64,
    /// Whether something could not be opened: which files it names is not known then.
    pub(super) unread: bool,
}

impl Verification<'_> {
    /// Looks for the rows of files that something names. No file is named twice.
    pub(super) async fn named(&mut self, files: &[AttachmentId]) -> Result<(), Fault> {
        for some in files.chunks(FILES_AT_ONCE) {
            let places: Vec<Key> = some.iter().map(|file| keys::file(*file)).collect();
            let rows = self.view.get_many(&places).await?;
            for (file, row) in some.iter().zip(rows) {
                match row {
                    Some(row) => self.tally.named += u64::from(is_kept(&row.bytes)),
                    None => self.report.find(format!(
                        "the file {file} is needed, but no row says that it is kept: no backup takes it along"
                    )),
                }
            }
        }
        Ok(())
    }

    /// Files of stored requests and of those that are dead letters.
    pub(super) async fn requests(&mut self) -> Result<(), Fault> {
        for space in [keys::INBOX, keys::INBOX_DEAD] {
            let mut rest = Some(keys::all(space));
            while let Some(range) = rest {
                let page = self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?;
                let mut files = Vec::new();
                for row in &page.rows {
                    match file_of_request(space, row) {
                        Ok(file) => files.extend(file),
                        Err(error) => {
                            self.tally.unread = true;
                            self.report.find(format!("a stored request ({}): {error}", row.key));
                        }
                    }
                }
                self.named(&files).await?;
                for file in files {
                    self.is_there(file).await?;
                }
                rest = page.next;
            }
        }
        Ok(())
    }

    /// That the file of a request is there, unless the request was worked off after this verification had begun.
    async fn is_there(&mut self, file: AttachmentId) -> Result<(), Fault> {
        let Err(error) = self.core.blobs.size(file.0).await else {
            return Ok(());
        };
        let now = self.core.store.get_many(&[keys::file(file)]).await?;
        if now.iter().any(Option::is_some) {
            self.report
                .find(format!("the file {file} of a stored request: {error}"));
        }
        Ok(())
    }

    /// Files that are kept although nothing names them. Called when everything that names files was looked at.
    pub(super) async fn unnamed(&mut self) -> Result<(), Fault> {
        if self.tally.unread {
            return Ok(());
        }
        let (mut kept, mut rest) = (0_u64, Some(keys::all(keys::FILE)));
        while let Some(range) = rest {
            let page = self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?;
            kept += page.rows.iter().filter(|row| is_kept(&row.value.bytes)).count() as u64;
            rest = page.next;
        }
        let unnamed = kept.saturating_sub(self.tally.named);
        if unnamed > 0 {
            self.report.find(format!(
                "nothing that is stored names {unnamed} of the files that are kept"
            ));
        }
        Ok(())
    }
}

/// Whether a file's row was written for something. Of those that an upgrade found, that is not known.
fn is_kept(row: &[u8]) -> bool {
    row != withdrawal::FOUND
}

/// The file in which a request lies, if it is not in the row itself.
fn file_of_request(space: Space, row: &Row) -> Result<Option<AttachmentId>, Fault> {
    if space == keys::INBOX {
        return Ok(blob_of(&row.value.bytes));
    }
    let dead: InboxDeadRow = rows::decode("a dead letter", &row.value.bytes)?;
    Ok(blob_of(&dead.request))
}
