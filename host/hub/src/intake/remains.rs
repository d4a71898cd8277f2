//! What the store holds of items that are taken back, found before the transaction that destroys it is put together.

use std::collections::HashMap;
use std::time::Duration;

use mihwar_model::{AttachmentId, EventBody, FeedbackId};
use mihwar_store::{Edit, Guard, Key, Order, View};

use crate::content::blob_of;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::projection;
use crate::query::{self, QueryError};
use crate::rows::{self, DeadRow, SeenRow};
use crate::status_reports;
use crate::vault::ContactKey;

/// Rows read in one go.
const PAGE: usize = 1000;
/// How long a withdrawal waits for the read models. They are folded meanwhile: some hundred thousand events at least.
const READ_MODELS_WAIT: Duration = Duration::from_secs(30);
/// When a withdrawal that waited for so long is tried again.
const READ_MODELS_PAUSE: Duration = Duration::from_secs(1);

/// What is stored of one item, as the edits that destroy it.
#[derive(Debug, Default)]
pub(super) struct Remains {
    pub(super) guards: Vec<Guard>,
    pub(super) edits: Vec<Edit>,
    /// Files of its contents: the long ones themselves, and what came with them.
    pub(super) files: Vec<AttachmentId>,
}

/// What is left of each of these items.
pub(super) async fn read(
    core: &Core,
    view: &dyn View,
    items: &[SeenRow],
) -> Result<HashMap<FeedbackId, Remains>, Fault> {
    let mut found = HashMap::with_capacity(items.len());
    if items.is_empty() {
        return Ok(found);
    }
    let contacts = items.iter().map(|item| item.contact).collect();
    let contact_keys = core.contact_keys(view, contacts).await?;
    for item in items {
        let mut remains = Remains::default();
        // Whoever takes something back must not be refused because it is damaged.
        let key = contact_keys.get(item.contact).unwrap_or_else(|error| {
            tracing::error!(feedback = %item.feedback, contact = %item.contact, "it is withdrawn unread: {error}");
            None
        });
        let unread = remains.contents(core, view, item, key).await?;
        if !unread.is_empty() {
            let files = told_files(core, view.tree().size(), item.feedback, &unread).await?;
            remains.files.extend(files);
        }
        remains.references(view, item.feedback).await?;
        let told = status_reports::remains(view, item.feedback).await?;
        remains.guards.extend(told.guards);
        remains.edits.extend(told.edits);
        found.insert(item.feedback, remains);
    }
    reasons(view, &mut found).await?;
    Ok(found)
}

impl Remains {
    /// Contents, and the files that they name. Answers the revisions that cannot be read.
    async fn contents(
        &mut self,
        core: &Core,
        view: &dyn View,
        item: &SeenRow,
        key: Option<&ContactKey>,
    ) -> Result<Vec<u32>, Fault> {
        let mut unread = Vec::new();
        let revisions = 1..=u32::try_from(item.revisions.len()).unwrap_or(u32::MAX);
        let places: Vec<Key> = revisions
            .clone()
            .map(|revision| keys::content(item.feedback, revision))
            .collect();
        let stored = view.get_many(&places).await?;
        for ((revision, place), row) in revisions.zip(places).zip(stored) {
            let Some(row) = row else { continue };
            self.files.extend(blob_of(&row.bytes));
            self.edits.push(Edit::Delete(place));
            let Some(key) = key else {
                unread.push(revision);
                continue;
            };
            match core.open_content(key, item.feedback, revision, &row.bytes).await {
                Ok(opened) => {
                    let attachments = opened.content.attachments.iter();
                    self.files.extend(attachments.filter_map(|attachment| attachment.id));
                }
                // Whoever takes something back must not be refused because it cannot be read.
                Err(error) if error.is_unreadable() => {
                    tracing::error!(feedback = %item.feedback, revision, "it is withdrawn unread: {error}");
                    unread.push(revision);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(unread)
    }

    /// What departments call the item.
    async fn references(&mut self, view: &dyn View, feedback: FeedbackId) -> Result<(), Fault> {
        let mut range = Some(keys::references_of(feedback));
        while let Some(next) = range {
            let page = view.scan(next, Order::Ascending, PAGE).await?;
            self.edits
                .extend(page.rows.into_iter().map(|row| Edit::Delete(row.key)));
            range = page.next;
        }
        Ok(())
    }
}

/// Files that came with revisions whose content cannot be read any more: the ledger, of which so many entries are looked
/// at, names them, too.
///
/// # Errors
/// [`Fault::Busy`] when the read models, by which the entries are found, do not get there in time: the withdrawal has to be
/// tried again, since nothing would name the files after it.
async fn told_files(
    core: &Core,
    entries: u64,
    feedback: FeedbackId,
    revisions: &[u32],
) -> Result<Vec<AttachmentId>, Fault> {
    let found = match followed(core, entries).await {
        // All of them: what no reader is told of has files, too.
        Ok(()) => query::events_of(core, feedback, usize::MAX).await,
        Err(error) => Err(error.into()),
    };
    let events = match found {
        Ok(events) => events,
        Err(QueryError::Fault(error)) if !error.is_damage() => return Err(error),
        // Whoever takes something back must not be refused because it is damaged.
        Err(error) => {
            tracing::error!(%feedback, "it is withdrawn, but its files are not known: {error}");
            return Ok(Vec::new());
        }
    };
    let attachments = events.iter().filter_map(|told| match &told.event.body {
        EventBody::Received(received) if revisions.contains(&received.revision) => Some(&received.attachments),
        _ => None,
    });
    Ok(attachments.flatten().filter_map(|attachment| attachment.id).collect())
}

/// Waits until the read models know so many entries of the ledger, but not for ever.
async fn followed(core: &Core, entries: u64) -> Result<(), Fault> {
    match tokio::time::timeout(READ_MODELS_WAIT, projection::catch_up_to(core, entries)).await {
        // What is not known is whether rows were folded, not whether something was taken back.
        Err(_) | Ok(Err(Fault::Unknown)) => Err(Fault::Busy {
            retry_after: READ_MODELS_PAUSE,
        }),
        Ok(result) => result,
    }
}

/// What departments said of the items when a delivery became a dead letter: it may quote them.
async fn reasons(view: &dyn View, found: &mut HashMap<FeedbackId, Remains>) -> Result<(), Fault> {
    let mut range = Some(keys::all(keys::DEAD));
    while let Some(next) = range {
        let page = view.scan(next, Order::Ascending, PAGE).await?;
        for row in page.rows {
            let dead: DeadRow = match rows::decode("a dead letter", &row.value.bytes) {
                Ok(dead) => dead,
                // Nobody can tell any more whose it is, nor read what it quotes.
                Err(error) => {
                    tracing::error!(row = %row.key, "passed over by a withdrawal: {error}");
                    continue;
                }
            };
            let speaks = !dead.reason.is_empty();
            let Some(remains) = found.get_mut(&dead.entry.feedback).filter(|_| speaks) else {
                continue;
            };
            let silent = DeadRow {
                reason: Vec::new(),
                ..dead
            };
            remains.guards.push(Guard::At(row.key.clone(), row.value.version));
            remains.edits.push(Edit::Put(row.key, rows::encode(&silent)?));
        }
        range = page.next;
    }
    Ok(())
}
