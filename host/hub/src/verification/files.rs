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

/// Sums of files; more of them tell more of the files that nothing names.
const SUMS: u128 = 256;
/// Files that nothing names and that are told one by one.
const UNNAMED_TOLD_MAX: usize = 3;

/// Some of the files: how many more have a row than are named, and the ids of all of these, each one added bit by bit
/// without carry. What is both kept and named cancels out.
#[derive(Clone, Copy, Default)]
struct Sum {
    more: i64,
    ids: u128,
}

/// What is known of files so far. Only summed up, never held: there are as many as there are attachments.
pub(super) struct Tally {
    /// By what their ids are, so that a few files that nothing names are mostly alone in theirs.
    sums: Vec<Sum>,
    /// Whether something could not be read: which files it names is not known then.
    pub(super) unread: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            sums: (0..SUMS).map(|_| Sum::default()).collect(),
            unread: false,
        }
    }
}

impl Tally {
    /// A file that has a row counts 1, and -1 where something names it.
    fn add(&mut self, file: AttachmentId, more: i64) {
        let id = file.0.as_u128();
        let place = usize::try_from(id % SUMS).unwrap_or_default();
        if let Some(sum) = self.sums.get_mut(place) {
            sum.more += more;
            sum.ids ^= id;
        }
    }

    /// How many files have a row and are not named, and a few of them.
    fn unnamed(&self) -> (i64, Vec<String>) {
        let alone = self.sums.iter().filter(|sum| sum.more == 1);
        let ids = alone.map(|sum| AttachmentId::from_bytes(sum.ids.to_be_bytes()).to_string());
        // What is named twice in one must not hide what nothing names in another.
        let total = self.sums.iter().map(|sum| sum.more.max(0)).sum();
        (total, ids.take(UNNAMED_TOLD_MAX).collect())
    }
}

impl Verification<'_> {
    /// Looks for the rows of files that something names. No file is named twice.
    pub(super) async fn named(&mut self, files: &[AttachmentId]) -> Result<(), Fault> {
        for some in files.chunks(FILES_AT_ONCE) {
            let places: Vec<Key> = some.iter().map(|file| keys::file(*file)).collect();
            let rows = self.view.get_many(&places).await?;
            for (file, row) in some.iter().zip(rows) {
                match row {
                    Some(row) if is_kept(&row.bytes) => self.tally.add(*file, -1),
                    Some(_) => {}
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
        let mut rest = Some(keys::all(keys::FILE));
        while let Some(range) = rest {
            let page = self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?;
            for row in page.rows.iter().filter(|row| is_kept(&row.value.bytes)) {
                let id = keys::last_id(&row.key).unwrap_or_default();
                self.tally.add(AttachmentId::from_bytes(id), 1);
            }
            rest = page.next;
        }
        let (unnamed, some) = self.tally.unnamed();
        if unnamed > 0 {
            let some = match some.as_slice() {
                [] => String::new(),
                some => format!(", such as {}", some.join(", ")),
            };
            self.report.find(format!(
                "nothing that is stored names {unnamed} of the files that are kept{some}: either the rows that named them are \
                 lost (look for those in the last backup, and restore it if they are missed), or what the files came with was \
                 withdrawn while neither it nor the ledger could be read (the log said then that its files are not known)"
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

#[cfg(test)]
mod tests {
    use mihwar_model::AttachmentId;

    use super::Tally;

    #[test]
    fn a_file_that_nothing_names_is_not_hidden_by_one_that_is_named_too_often() {
        let file = |last: u8| {
            let mut id = [7; 16];
            id[15] = last;
            AttachmentId::from_bytes(id)
        };
        let mut tally = Tally::default();
        for (last, more) in [(1, 1), (2, 1), (2, -1), (2, -1)] {
            tally.add(file(last), more);
        }
        assert_eq!(tally.unnamed(), (1, vec![file(1).to_string()]));
    }
}
