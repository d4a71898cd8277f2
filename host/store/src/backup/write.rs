//! Making a backup of a store that goes on being written to.

use std::sync::Arc;

use mihwar_model::Time;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::BackupError;
use super::format::{Counts, Header, Mark, Owner};
use super::frame::{CHUNK_BYTES, Chain, Kind, epilogue};
use super::records::{Piece, Record, write_entry, write_first_sequence};
use crate::proof::root_at;
use crate::{
    BlobFolder, BlobHold, Key, KeyRange, LedgerProofError, MAX_PAGE_ROWS, Natures, Order, Page, Row, Space, Store,
    StoreError, View,
};

/// Bytes of a file that are read at once: with the head of its record far less than what a chunk may have over
/// [`CHUNK_BYTES`].
const PIECE_BYTES: u64 = CHUNK_BYTES as u64 / 2;

/// What whoever asks for a backup says about it.
#[derive(Clone, Debug)]
pub struct About {
    /// Whose it is.
    pub owner: Owner,
    /// Which store this is: another one after each restore, so that no increment goes on from a state that this store was
    /// never in.
    pub lineage: [u8; 16],
    /// The time now.
    pub made_at: Time,
    /// Version of the program.
    pub made_by: String,
    /// The state of the backup that this one goes on from; none for a full one.
    pub since: Option<Mark>,
}

/// A backup that is about to be made. What it will hold is decided; nothing was read yet.
pub struct Backup {
    store: Arc<dyn Store>,
    view: Box<dyn View>,
    hold: BlobHold,
    header: Header,
}

impl Backup {
    /// Takes the snapshot, and keeps the blobs that belong to it.
    ///
    /// # Errors
    /// [`BackupError::Since`] when the store was never in the state that an increment should go on from; else the store
    /// cannot be read.
    pub async fn begin(store: Arc<dyn Store>, files: &BlobFolder, about: About) -> Result<Self, BackupError> {
        // Before the view: whatever the view tells of can be read as long as this is held.
        let hold = files.hold();
        let view = store.view().await?;
        let tree = view.tree();
        let state = Mark {
            lineage: lineage(&about.lineage, view.natures()),
            version: view.version(),
            entries: tree.size(),
            root: tree.root(),
        };
        if let Some(since) = &about.since {
            check_since(&*view, &state, since).await?;
        }
        let header = Header {
            owner: about.owner,
            made_at: about.made_at,
            made_by: about.made_by,
            natures: *view.natures(),
            state,
            since: about.since,
        };
        Ok(Self {
            store,
            view,
            hold,
            header,
        })
    }

    /// What the backup says of itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Sends the backup, piece by piece, and waits whenever the receiver is behind. In memory are one chunk, one page of
    /// rows, and 16 bytes for each blob that is sent. The snapshot is let go of before the journal and the blobs are sent,
    /// which change no more.
    ///
    /// A backup that cannot be finished ends with a chunk that says why. One whose receiver went away ends.
    pub async fn stream(self, sink: mpsc::Sender<Vec<u8>>) {
        let (chain, prologue) = Chain::begin();
        let mut out = Out {
            sink,
            chain,
            sent: 0,
            kind: Kind::Header,
            pending: Vec::new(),
            counts: Counts::default(),
        };
        let told = match out.send(prologue).await {
            Ok(()) => self.write(&mut out).await,
            Err(gone) => Err(gone),
        };
        let reason = match told {
            Ok(()) => return,
            Err(Halt::ReceiverGone) => {
                tracing::info!("whoever took the backup went away; it ends here");
                return;
            }
            Err(Halt::Failed(error)) => error.to_string(),
        };
        tracing::error!("a backup could not be finished: {reason}");
        out.pending.clear();
        let told = out.chunk(Kind::Stopped, reason.into_bytes()).await;
        if told.is_err() {
            tracing::debug!("nobody was there to be told");
        }
    }

    async fn write(self, out: &mut Out) -> Result<(), Halt> {
        let Self {
            store,
            view,
            hold,
            header,
        } = self;
        let bytes = header.to_bytes().map_err(StoreError::corrupt)?;
        out.chunk(Kind::Header, bytes).await?;
        let files = Rows {
            view: &*view,
            header: &header,
            files: Vec::new(),
        };
        let files = files.write(out).await?;
        drop(view);
        journal(&*store, &header, out).await?;
        for id in files {
            file(&hold, id, out).await?;
        }
        drop(hold);
        out.flush().await?;
        let footer = out.sent;
        let counts = out.counts.to_bytes().map_err(StoreError::corrupt)?;
        out.chunk(Kind::Footer, counts).await?;
        out.send(epilogue(footer).to_vec()).await
    }
}

/// Which store it is, and how its spaces are divided: where that has changed, an increment would lack what was not noted.
fn lineage(store: &[u8; 16], natures: &Natures) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(store)
        .chain_update(natures.to_bytes())
        .finalize()
        .into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// Whether the store has been in that state, and on its way from there noted what was deleted.
async fn check_since(view: &dyn View, now: &Mark, since: &Mark) -> Result<(), BackupError> {
    let refuse = |what: &str| BackupError::Since { what: what.to_owned() };
    if since.lineage != now.lineage {
        return Err(refuse(
            "it is of another hub, or of this one before a restore or an upgrade",
        ));
    }
    if since.version > now.version || since.entries > now.entries {
        return Err(refuse("it is newer than this hub"));
    }
    match root_at(view, since.entries).await {
        Ok(root) if root == since.root => Ok(()),
        Ok(_) => Err(refuse("its ledger is not the beginning of this one's")),
        Err(LedgerProofError::Store(error)) => Err(error.into()),
        Err(error) => Err(StoreError::corrupt(error.to_string()).into()),
    }
}

/// Why no more is sent.
enum Halt {
    ReceiverGone,
    Failed(BackupError),
}

impl<E: Into<BackupError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What is sent, gathered into chunks.
struct Out {
    sink: mpsc::Sender<Vec<u8>>,
    chain: Chain,
    /// Bytes sent.
    sent: u64,
    /// What is pending.
    kind: Kind,
    pending: Vec<u8>,
    counts: Counts,
}

impl Out {
    /// Where the next record of this kind is to be written.
    async fn room(&mut self, kind: Kind) -> Result<&mut Vec<u8>, Halt> {
        if kind != self.kind || self.pending.len() >= CHUNK_BYTES {
            self.flush().await?;
            self.kind = kind;
        }
        Ok(&mut self.pending)
    }

    async fn flush(&mut self) -> Result<(), Halt> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let plain = std::mem::take(&mut self.pending);
        self.chunk(self.kind, plain).await
    }

    async fn chunk(&mut self, kind: Kind, plain: Vec<u8>) -> Result<(), Halt> {
        let mut chain = self.chain.clone();
        // Packing and hashing a chunk takes milliseconds: not on a thread that others wait for.
        let sealed = tokio::task::spawn_blocking(move || {
            let bytes = chain.seal(kind, &plain)?;
            Ok::<_, StoreError>((chain, bytes))
        });
        let (chain, bytes) = sealed.await.map_err(|error| StoreError::Engine {
            what: "packing a chunk of a backup",
            reason: error.to_string(),
        })??;
        self.chain = chain;
        self.send(bytes).await
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Halt> {
        self.sent += bytes.len() as u64;
        self.sink.send(bytes).await.map_err(|_| Halt::ReceiverGone)
    }
}

/// The rows of a backup.
struct Rows<'a> {
    view: &'a dyn View,
    header: &'a Header,
    /// Blobs that belong to the rows that were written.
    files: Vec<Uuid>,
}

impl Rows<'_> {
    async fn write(mut self, out: &mut Out) -> Result<Vec<Uuid>, Halt> {
        for space in (Space::FIRST_FREE.0..=u8::MAX).map(Space) {
            let nature = self.header.natures.of(space);
            match self.header.since {
                _ if nature == crate::Nature::Derived => {}
                Some(since) if nature.is_kept() => self.changes(space, since.version, out).await?,
                _ => self.all(space, out).await?,
            }
        }
        Ok(self.files)
    }

    async fn all(&mut self, space: Space, out: &mut Out) -> Result<(), Halt> {
        let mut rows = Pages::rows(self.view, space);
        while let Some(row) = rows.next().await? {
            self.record(Record::Row(row), out).await?;
        }
        Ok(())
    }

    /// What changed after the commit `since`, and what was deleted.
    async fn changes(&mut self, space: Space, since: u64, out: &mut Out) -> Result<(), Halt> {
        let mut rows = Pages::rows(self.view, space);
        let mut removed = Pages::removed(self.view, space);
        let mut gone = removed.next().await?;
        while let Some(row) = rows.next().await? {
            while let Some(earlier) = gone.take_if(|gone| gone.key < row.key) {
                self.removal(earlier, since, out).await?;
                gone = removed.next().await?;
            }
            if gone.as_ref().is_some_and(|gone| gone.key == row.key) {
                // It was written again.
                gone = removed.next().await?;
            }
            if row.value.version > since {
                self.record(Record::Row(row), out).await?;
            }
        }
        while let Some(row) = gone {
            self.removal(row, since, out).await?;
            gone = removed.next().await?;
        }
        Ok(())
    }

    async fn removal(&mut self, gone: Row, since: u64, out: &mut Out) -> Result<(), Halt> {
        if gone.value.version > since {
            self.record(Record::Removed(gone.key, gone.value.version), out).await?;
        }
        Ok(())
    }

    async fn record(&mut self, record: Record, out: &mut Out) -> Result<(), Halt> {
        record.write(out.room(Kind::Rows).await?);
        match &record {
            Record::Row(row) => {
                out.counts.rows += 1;
                if self.header.natures.of_key(&row.key) == crate::Nature::Filed {
                    let id = blob_of(&row.key).ok_or_else(|| {
                        StoreError::corrupt(format!("row {} should end with the id of a file", row.key))
                    })?;
                    self.files.push(id);
                }
            }
            Record::Removed(..) => out.counts.removed += 1,
        }
        Ok(())
    }
}

/// The blob that a row of a filed space stands for.
pub(super) fn blob_of(key: &Key) -> Option<Uuid> {
    key.as_bytes().last_chunk::<16>().map(|id| Uuid::from_bytes(*id))
}

/// Rows of a space one by one.
struct Pages<'a> {
    view: &'a dyn View,
    deleted: bool,
    range: Option<KeyRange>,
    page: std::vec::IntoIter<Row>,
}

impl<'a> Pages<'a> {
    fn rows(view: &'a dyn View, space: Space) -> Self {
        Self {
            view,
            deleted: false,
            range: Some(KeyRange::prefix(Key::from_bytes(vec![space.0]))),
            page: Vec::new().into_iter(),
        }
    }

    /// Those that were deleted.
    fn removed(view: &'a dyn View, space: Space) -> Self {
        Self {
            deleted: true,
            ..Self::rows(view, space)
        }
    }

    async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        loop {
            if let Some(row) = self.page.next() {
                return Ok(Some(row));
            }
            let Some(range) = self.range.take() else {
                return Ok(None);
            };
            let Page { rows, next } = if self.deleted {
                self.view.removed(range, MAX_PAGE_ROWS).await?
            } else {
                self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?
            };
            self.range = next;
            self.page = rows.into_iter();
        }
    }
}

/// The entries of the snapshot. Entries never change, so each page may come from a view of its own.
async fn journal(store: &dyn Store, header: &Header, out: &mut Out) -> Result<(), Halt> {
    let (mut next, end) = (header.since.map_or(0, |since| since.entries), header.state.entries);
    while next < end {
        let room = usize::try_from(end - next).unwrap_or(MAX_PAGE_ROWS).min(MAX_PAGE_ROWS);
        let entries = store.view().await?.journal(next, room).await?;
        if entries.first().is_none_or(|entry| entry.sequence != next) {
            return Err(StoreError::corrupt(format!("journal entry {next} is missing")).into());
        }
        for entry in entries {
            let room = out.room(Kind::Journal).await?;
            if room.is_empty() {
                write_first_sequence(room, entry.sequence);
            }
            write_entry(room, &entry.bytes);
            out.counts.entries += 1;
            next = entry.sequence + 1;
        }
    }
    Ok(())
}

/// One blob, in pieces. One that is missing is said to be: the rest must not be lost with it.
async fn file(hold: &BlobHold, id: Uuid, out: &mut Out) -> Result<(), Halt> {
    let mut from = 0;
    loop {
        let found = hold.read(id, from, PIECE_BYTES).await?;
        let Some((size, bytes)) = found else {
            tracing::error!(%id, "a file is missing, and not in the backup");
            let piece = Piece {
                id,
                size: None,
                from: 0,
                bytes: Vec::new(),
            };
            piece.write(out.room(Kind::Files).await?);
            out.counts.files_missing += 1;
            return Ok(());
        };
        let read = bytes.len() as u64;
        if read == 0 && from < size {
            return Err(StoreError::corrupt(format!("file {id} became shorter while it was read")).into());
        }
        let piece = Piece {
            id,
            size: Some(size),
            from,
            bytes,
        };
        piece.write(out.room(Kind::Files).await?);
        from += read;
        out.counts.file_bytes += read;
        if from >= size {
            out.counts.files += 1;
            return Ok(());
        }
    }
}
