//! What the hub holds about one contact, for whoever asks in a person's name; and its erasure.

use std::path::PathBuf;

use mihwar_model::{Actor, AttachmentId, ContactId, Content, Identifier, InstanceName, Tag, Time};
use mihwar_store::{BlobError, Order, Space, View};
use serde::Serialize;

use crate::core::Core;
use crate::erasure::{self, EraseRefusal, ErasureReport};
use crate::fault::Fault;
use crate::format;
use crate::hub::Hub;
use crate::keys::{self, Lookup};
use crate::query::{self, FeedbackFilter, FeedbackRecord, LedgerEvent, QueryError};
use crate::rows::{self, DeliveryRecord, ErasedRow};
use crate::salvage::logs_aside_in;
use crate::status_reports::{self, StatusRecord};

/// Records of a contact on one page: each comes with all of its story.
const RECORDS_MAX: usize = 50;
/// Rows counted in one go.
const COUNTED: usize = 10_000;

/// What is known of a contact beside its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContactFacts {
    /// The hub's id of it.
    pub contact: ContactId,
    /// When the hub first heard of it, by its id.
    pub since: Time,
    /// When it was erased: nothing personal is left then.
    pub erased_at: Option<Time>,
    /// Why nothing of it is erased: a legal hold.
    pub hold: Option<String>,
    /// Instances as they are configured now, with the personal fields that each may read of every record that reaches it.
    pub readers: Vec<Reader>,
    /// Stored requests of other systems that are no records yet. They are sealed by the hub's own key, and nobody can tell
    /// whose they are without reading them.
    pub requests_unread: u64,
}

/// An instance that may see personal fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reader {
    /// Its name.
    pub instance: InstanceName,
    /// The plugin that it runs.
    pub plugin: InstanceName,
    /// Personal fields that it was granted.
    pub fields: Vec<String>,
}

/// A record of a contact, with everything that is held about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactRecord {
    /// Its facts, and its content as it is now.
    pub record: FeedbackRecord,
    /// What every revision said, from the first; `None` where that is gone or cannot be read.
    pub revisions: Vec<(u32, Option<Content>)>,
    /// Every event that tells of it, oldest first.
    pub events: Vec<LedgerEvent>,
    /// Where it went.
    pub deliveries: Vec<DeliveryRecord>,
    /// What departments said became of it there.
    pub statuses: Vec<StatusRecord>,
}

/// A page of a contact's records, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactPage {
    /// The records.
    pub items: Vec<ContactRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl Hub {
    /// The contact that is known by an identifier; `None` when nobody is, or is no more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn contact_find(&self, identifier: &Identifier) -> Result<Option<ContactId>, Fault> {
        erasure::find(&self.shared.core, identifier).await
    }

    /// What is known of a contact; `None` when nobody of this id was ever heard from.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn contact_facts(&self, contact: ContactId) -> Result<Option<ContactFacts>, Fault> {
        let config = self.shared.config();
        let view = self.shared.core.store.view().await?;
        let erased = view.get(&keys::erased(contact)).await?;
        let erased = erased.map(|row| rows::decode::<ErasedRow>("an erased contact", &row.bytes));
        let erased = erased.transpose()?;
        let has_key = view.get(&keys::contact_key(contact)).await?.is_some();
        let entries = Lookup::Contact(contact).entries();
        if erased.is_none() && !has_key && view.scan(entries, Order::Ascending, 1).await?.rows.is_empty() {
            return Ok(None);
        }
        let hold = config.holds.iter().find(|hold| hold.contact == contact);
        let readers = config.instances.iter().map(|instance| Reader {
            instance: instance.name.clone(),
            plugin: instance.plugin.clone(),
            fields: instance.grants.fields.clone(),
        });
        let requests = count(&*view, keys::INBOX).await? + count(&*view, keys::INBOX_DEAD).await?;
        Ok(Some(ContactFacts {
            contact,
            since: contact.made_at(),
            erased_at: erased.map(|row| row.at),
            hold: hold.map(|hold| hold.reason.clone()),
            readers: readers.collect(),
            requests_unread: requests,
        }))
    }

    /// A page of a contact's records with everything that is held about them, newest first.
    ///
    /// # Errors
    /// For a foreign cursor, or when the store cannot be read.
    pub async fn contact_page(&self, contact: ContactId, cursor: Option<&str>) -> Result<ContactPage, QueryError> {
        let core = &self.shared.core;
        let filter = FeedbackFilter {
            contact: Some(contact),
            ..FeedbackFilter::default()
        };
        let page = query::feedback_page(core, &filter, cursor, RECORDS_MAX).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for record in page.items {
            let feedback = record.head.feedback;
            let events = query::whole_history(core, feedback).await?;
            items.push(ContactRecord {
                revisions: revisions(core, &record).await?,
                deliveries: query::deliveries_told(core, &events).await?,
                statuses: status_reports::told(core, &events).await?,
                events,
                record,
            });
        }
        Ok(ContactPage { items, next: page.next })
    }

    /// A file that came with something that a contact said; `None` when there is none of this id that is theirs.
    ///
    /// # Errors
    /// When the store or the file cannot be read.
    pub async fn contact_file(&self, contact: ContactId, file: AttachmentId) -> Result<Option<Vec<u8>>, Fault> {
        let core = &self.shared.core;
        let contact_keys = core.contact_keys_now(vec![contact]).await?;
        let Some(key) = contact_keys.get(contact)? else {
            return Ok(None);
        };
        match core.blobs.read(file.0).await {
            // Sealed for another contact it does not open, and is not theirs.
            Ok(sealed) => Ok(core.vault.open_for(key, &file.to_bytes(), &sealed).ok()),
            Err(BlobError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What lies in the data folder of earlier states of the store: copies that upgrades left, and damaged logs that were set
    /// aside. Whoever was erased since can still be read in them by whoever has the master key, until a person deletes them.
    ///
    /// # Errors
    /// When the data folder cannot be listed.
    pub fn copies_beside(&self) -> Result<Vec<PathBuf>, Fault> {
        if !self.shared.disk.is_folder() {
            return Ok(Vec::new());
        }
        let data = self.shared.config().data.clone();
        let found = format::backups_left_in(&data).and_then(|mut found| {
            found.extend(logs_aside_in(&data)?);
            Ok(found)
        });
        found.map_err(|error| Fault::Blob(format!("{}: {error}", data.display())))
    }

    /// Erases a contact with all that it said: contents, files, what departments call them, the rows by which it is known,
    /// and its key. Departments that may have something are told. `reason` stands in the ledger for ever.
    ///
    /// # Errors
    /// Says why not; nothing was changed then, except after [`EraseRefusal::Fault`]: what was begun goes on at the next
    /// start, or when it is asked for again.
    pub async fn contact_erase(
        &self,
        by: &Actor,
        contact: ContactId,
        reason: &Tag,
    ) -> Result<ErasureReport, EraseRefusal> {
        let (shared, by, reason) = (self.shared.clone(), by.clone(), reason.clone());
        // A task of its own: whoever asked may go away, and what is begun is not left half done.
        let work = tokio::spawn(async move {
            let holds = shared.config().holds.clone();
            erasure::erase(&shared.core, &holds, &by, contact, &reason).await
        });
        work.await.unwrap_or_else(|error| {
            tracing::error!(%contact, "an erasure fell: {error}");
            Err(EraseRefusal::Fault(Fault::Unknown))
        })
    }
}

async fn revisions(core: &Core, record: &FeedbackRecord) -> Result<Vec<(u32, Option<Content>)>, Fault> {
    let head = &record.head;
    let view = core.store.view().await?;
    let mut revisions = Vec::new();
    for revision in 1..=head.revision {
        let content = match core.content(&*view, head.feedback, revision, head.contact).await {
            Ok(opened) => opened.map(|opened| opened.content),
            Err(error) if error.is_unreadable() => {
                tracing::error!(feedback = %head.feedback, revision, "the content cannot be read: {error}");
                None
            }
            Err(error) => return Err(error),
        };
        revisions.push((revision, content));
    }
    Ok(revisions)
}

async fn count(view: &dyn View, space: Space) -> Result<u64, Fault> {
    let (mut rows, mut range) = (0, Some(keys::all(space)));
    while let Some(next) = range {
        let page = view.scan(next, Order::Ascending, COUNTED).await?;
        rows += page.rows.len() as u64;
        range = page.next;
    }
    Ok(rows)
}
