//! The whole ledger as one file for outsiders: made while the hub runs, from one consistent state of it.

use std::collections::VecDeque;
use std::sync::Arc;

use mihwar_ledger::{BundleError, BundleWriter, ContentLine, MissingContent, SignedNote, Signer, commitment};
use mihwar_model::{Content, Event, EventBody, Received};
use mihwar_store::{Key, View};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::contact_keys::ContactKeys;
use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Hub;
use crate::kept::Notes;
use crate::keys;
use crate::ledger;
use crate::walk::{self, aside};

/// Chunks that may wait for a slow reader before the export waits for them.
const CHUNKS_WAITING_MAX: usize = 4;
/// Bytes of personal content after which a file of it ends. One content may go beyond that.
const CONTENT_FILE_BYTES: usize = 1 << 20;
/// Characters of the reason why a content is missing.
const WHY_CHARS_MAX: usize = 300;

/// An export that was begun.
#[derive(Debug)]
pub struct RunningExport {
    /// Its bytes. They hold it up while nobody takes them, and end it when this is dropped.
    pub chunks: mpsc::Receiver<Vec<u8>>,
}

/// Why no export was begun.
#[derive(Debug, Error)]
pub enum ExportRefusal {
    /// One at a time.
    #[error("the ledger is being exported already; wait until that is finished")]
    Running,
    /// The store cannot be read or written.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Hub {
    /// Begins to export the ledger as a bundle ([`mihwar_ledger::Bundle`]): every entry, signed for this, and every checkpoint
    /// that was kept. Only `with_content` it holds what people said, as far as that is not withdrawn or erased when it is
    /// read. Of that it lacks what is damaged, and names it ([`MissingContent`]). It is whole when it reads as a bundle.
    ///
    /// # Errors
    /// Says why it was not begun.
    pub async fn export_ledger(&self, with_content: bool) -> Result<RunningExport, ExportRefusal> {
        let shared = &self.shared;
        let Ok(only) = Arc::clone(&shared.exports).try_lock_owned() else {
            return Err(ExportRefusal::Running);
        };
        let origin = shared.config().ledger.origin.clone();
        let begun = Export::begin(&shared.core, &shared.signer, &origin, with_content).await?;
        let (chunks, work) = begun.split();
        tokio::spawn(async move {
            work.await;
            drop(only);
        });
        Ok(RunningExport { chunks })
    }
}

fn damaged(error: &dyn std::fmt::Display) -> Fault {
    Fault::Damaged {
        what: "the ledger",
        detail: error.to_string(),
    }
}

/// Why an export ends early.
enum Halt {
    ReceiverGone,
    Failed(String),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.to_string())
    }
}

impl From<BundleError> for Halt {
    fn from(error: BundleError) -> Self {
        Self::Failed(format!("{error}; run: mihwar ledger verify"))
    }
}

struct Export {
    core: Arc<Core>,
    view: Arc<dyn View>,
    with_content: bool,
    sink: mpsc::Sender<Vec<u8>>,
}

/// An export of which nothing was sent yet.
struct Begun {
    export: Export,
    writer: BundleWriter,
    beginning: Vec<u8>,
    chunks: mpsc::Receiver<Vec<u8>>,
}

impl Begun {
    /// What it will send, and the work that sends it.
    fn split(self) -> (mpsc::Receiver<Vec<u8>>, impl Future<Output = ()> + Send + 'static) {
        let Self {
            export,
            writer,
            beginning,
            chunks,
        } = self;
        (chunks, export.stream(writer, beginning))
    }
}

impl Export {
    /// Signs the ledger as it is now, and takes a view that shows as much.
    async fn begin(core: &Arc<Core>, signer: &Signer, origin: &str, with_content: bool) -> Result<Begun, Fault> {
        let note = match ledger::checkpoint(core, signer, origin).await {
            // What is there can be handed out where nothing can be written any more.
            Err(error) if error.is_write_refused() => {
                tracing::warn!("the ledger is exported as of the last checkpoint that there is: {error}");
                ledger::newest_checkpoint(core, signer, origin).await?
            }
            signed => signed?,
        };
        let note = SignedNote::parse(&note).map_err(|error| damaged(&error))?;
        let (writer, beginning) =
            BundleWriter::begin(&signer.verifying_key(), &note).map_err(|error| damaged(&error))?;
        let (sink, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
        let export = Self {
            core: Arc::clone(core),
            view: Arc::from(core.store.view().await?),
            with_content,
            sink,
        };
        Ok(Begun {
            export,
            writer,
            beginning,
            chunks,
        })
    }

    async fn stream(self, writer: BundleWriter, beginning: Vec<u8>) {
        let reason = match self.write(writer, beginning).await {
            Ok(()) => return,
            Err(Halt::ReceiverGone) => {
                tracing::info!("whoever took the export went away; it ends here");
                return;
            }
            Err(Halt::Failed(reason)) => reason,
        };
        tracing::error!("an export of the ledger could not be finished: {reason}");
        if self.send(BundleWriter::stopped(&reason)).await.is_err() {
            tracing::debug!("nobody was there to be told");
        }
    }

    async fn send(&self, chunk: Vec<u8>) -> Result<(), Halt> {
        self.sink.send(chunk).await.map_err(|_| Halt::ReceiverGone)
    }

    async fn write(&self, mut writer: BundleWriter, beginning: Vec<u8>) -> Result<(), Halt> {
        self.send(beginning).await?;
        let total = writer.entries();
        let mut notes = Notes::new(&*self.view);
        if total == 0 {
            writer = self.group(writer, &mut notes, Vec::new()).await?;
        }
        let mut pages = walk::entries(&self.view, total);
        let (mut waiting, mut next) = (VecDeque::new(), 0);
        while let Some(page) = pages.recv().await {
            for entry in page? {
                if entry.sequence != next {
                    return Err(Halt::Failed(format!(
                        "entry {next} is missing; run: mihwar ledger verify"
                    )));
                }
                next += 1;
                waiting.push_back(entry.bytes);
            }
            loop {
                let width = writer.next_width();
                if width == 0 || waiting.len() < width {
                    break;
                }
                let entries = waiting.drain(..width).collect();
                writer = self.group(writer, &mut notes, entries).await?;
            }
        }
        self.send(writer.end()?).await
    }

    /// Writes the next group of entries with everything that belongs to it.
    async fn group(
        &self,
        mut writer: BundleWriter,
        notes: &mut Notes<'_>,
        entries: Vec<Vec<u8>>,
    ) -> Result<BundleWriter, Halt> {
        let first = writer.size();
        let kept = notes.until(first + entries.len() as u64).await?;
        let kept: Vec<String> = kept.into_iter().map(|(_, note)| note).collect();
        let hashed = aside(move || {
            let written = writer.group(&kept, &entries);
            (writer, entries, written)
        });
        let (mut writer, entries, written) = hashed.await?;
        self.send(written?).await?;
        if self.with_content {
            self.content(&mut writer, first, &entries).await?;
        }
        Ok(writer)
    }

    /// What the entries of a group commit to, as it is now and not as the view shows it: what was erased meanwhile is not
    /// handed out. A damaged one costs itself: it is named behind the others.
    async fn content(&self, writer: &mut BundleWriter, first: u64, entries: &[Vec<u8>]) -> Result<(), Halt> {
        let received = received_in(first, entries)?;
        let places = received
            .iter()
            .map(|(_, body)| keys::content(body.feedback, body.revision));
        let places: Vec<Key> = places.collect();
        let rows = self.core.store.get_many(&places).await.map_err(Fault::from)?;
        let contacts = received.iter().map(|(_, body)| body.contact).collect();
        let contacts = self.core.contact_keys_now(contacts).await?;
        let (mut lines, mut missing) = (Vec::new(), Vec::new());
        for ((index, body), row) in received.iter().zip(rows) {
            let Some(row) = row else {
                continue;
            };
            let line = match self.told(*index, body, &contacts, &row.bytes).await {
                Ok(line) => line,
                Err(fault) if fault.is_unreadable() => {
                    if self.is_still_there(body).await? {
                        missing.push(left_out(*index, body, &fault));
                    }
                    continue;
                }
                Err(fault) => return Err(fault.into()),
            };
            if !lines.is_empty() && lines.len() + line.len() > CONTENT_FILE_BYTES {
                self.send(writer.content(&lines)?).await?;
                lines.clear();
            }
            lines.extend_from_slice(line.as_bytes());
        }
        if !lines.is_empty() {
            self.send(writer.content(&lines)?).await?;
        }
        if !missing.is_empty() {
            let contents = missing.len();
            tracing::warn!(
                contents,
                "an export of the ledger lacks content that cannot be read; run: mihwar ledger verify"
            );
            self.send(writer.missing(&missing)?).await?;
        }
        Ok(())
    }

    /// What is in a content's row, as a line.
    async fn told(&self, entry: u64, received: &Received, contacts: &ContactKeys, row: &[u8]) -> Result<String, Fault> {
        let Some(key) = contacts.get(received.contact)? else {
            return Err(damaged_content("the key of its contact is gone"));
        };
        let opened = self.core.open_salted(key, received.feedback, received.revision, row);
        let (salt, content) = opened.await?;
        // A stranger would find this, and believe nothing in the bundle any more.
        if commitment(&salt, &content) != received.commitment {
            return Err(damaged_content("it is not what was received"));
        }
        line(entry, received, (salt, content))
    }

    /// Whether a content that was found is still there: it may have been withdrawn or erased before it was read.
    async fn is_still_there(&self, received: &Received) -> Result<bool, Fault> {
        let place = keys::content(received.feedback, received.revision);
        let rows = self.core.store.get_many(&[place]).await?;
        Ok(rows.iter().any(Option::is_some))
    }
}

/// The entries that say that something came in, with their places.
fn received_in(first: u64, entries: &[Vec<u8>]) -> Result<Vec<(u64, Received)>, Halt> {
    let mut received = Vec::new();
    for (index, entry) in (first..).zip(entries) {
        let event =
            Event::from_bytes(entry).map_err(|detail| Halt::Failed(format!("entry {index} is no event: {detail}")))?;
        if let EventBody::Received(body) = event.body {
            received.push((index, body));
        }
    }
    Ok(received)
}

fn damaged_content(detail: &str) -> Fault {
    Fault::Damaged {
        what: "content",
        detail: detail.to_owned(),
    }
}

/// Why the bundle lacks a content, for strangers: nothing of what was said, and nothing of this machine.
fn left_out(entry: u64, received: &Received, fault: &Fault) -> MissingContent {
    let why = match fault {
        Fault::Damaged { what, detail } => format!("{what} is damaged: {detail}"),
        Fault::Blob(_) => "its file could not be read at that moment; export again".to_owned(),
        other => other.to_string(),
    };
    MissingContent {
        entry,
        feedback: received.feedback.to_string(),
        revision: received.revision,
        why: why.chars().take(WHY_CHARS_MAX).collect(),
    }
}

fn line(entry: u64, received: &Received, (salt, content): ([u8; 32], Vec<u8>)) -> Result<String, Fault> {
    let opened = Content::from_bytes(&content).map_err(|detail| damaged_content(&detail))?;
    let line = ContentLine {
        entry,
        feedback: received.feedback.to_string(),
        revision: received.revision,
        salt,
        content,
        says: opened.says(),
    };
    line.to_line().map_err(|error| Fault::Encoding(error.to_string()))
}

#[cfg(test)]
mod tests;
