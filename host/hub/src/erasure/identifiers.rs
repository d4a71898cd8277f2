//! The rows by which a contact is known again. They lie by keyed hashes of identifiers and name the contact; the other way
//! round leads through what the contact said, or through all of them.

use std::collections::{BTreeMap, BTreeSet};

use mihwar_model::{ContactId, Event, EventBody};
use mihwar_store::{Key, Order, View};

use super::sound_heads;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys::{self, Lookup};
use crate::rows::{self, Head};

/// Records of a contact whose content is tried.
const TRIED_MAX: usize = 8;
/// Rows looked through in one go.
const PAGE: usize = 10_000;

/// The rows of one contact. The read models must have seen all.
pub(super) async fn of(core: &Core, contact: ContactId) -> Result<Vec<Key>, Fault> {
    if let Some(known_by) = told(core, contact).await? {
        return Ok(known_by);
    }
    let view = core.store.view().await?;
    let found = look_through(&*view, &BTreeSet::from([contact])).await?;
    Ok(found.into_values().flatten().collect())
}

/// As [`of`], as far as the contact's records tell it; `None` when they do not.
pub(super) async fn told(core: &Core, contact: ContactId) -> Result<Option<Vec<Key>>, Fault> {
    let view = core.store.view().await?;
    // The last ones: what a person said first may be over, and gone.
    let page = view
        .scan(Lookup::Contact(contact).entries(), Order::Descending, TRIED_MAX)
        .await?;
    let ids = page.rows.iter().filter_map(|row| keys::last_id(&row.key));
    // One that is damaged tells nothing; the others do, and else all rows are looked through.
    let (heads, _) = sound_heads(&*view, ids).await?;
    if let Some(first) = heads.first()
        && is_anonymous(&*view, contact, first).await?
    {
        return Ok(Some(Vec::new()));
    }
    for head in &heads {
        if let Some(place) = of_author(core, &*view, contact, head).await? {
            return Ok(Some(vec![place]));
        }
    }
    Ok(None)
}

/// Whether the ledger says that a contact gave nothing to be known by: the entry before its first record does.
async fn is_anonymous(view: &dyn View, contact: ContactId, first: &Head) -> Result<bool, Fault> {
    let received = first.entries.clone().into_sequences().first().copied();
    let Some(before) = received.and_then(|sequence| sequence.checked_sub(1)) else {
        return Ok(false);
    };
    let entries = view.journal(before, 1).await?;
    let created = entries.first().map(|entry| Event::from_bytes(&entry.bytes));
    Ok(match created {
        Some(Ok(event)) => matches!(
            event.body,
            EventBody::ContactCreated(created) if created.contact == contact && created.identifiers == 0
        ),
        // An entry that is damaged is for the verification to tell.
        Some(Err(_)) | None => false,
    })
}

/// The row that a record's author leads to, if it can be read and is this contact's. A contact is known by one identifier:
/// the first of its author's, in the first revision of each record.
async fn of_author(core: &Core, view: &dyn View, contact: ContactId, head: &Head) -> Result<Option<Key>, Fault> {
    let opened = match core.content(view, head.feedback, 1, contact).await {
        Ok(opened) => opened,
        Err(error) if error.is_unreadable() => None,
        Err(error) => return Err(error),
    };
    let author = opened.and_then(|opened| opened.content.author);
    let Some(identifier) = author.and_then(|author| author.identifiers.into_iter().next()) else {
        return Ok(None);
    };
    let place = keys::identifier(core.vault.identifier_hash(&identifier));
    let Some(row) = view.get(&place).await? else {
        return Ok(None);
    };
    match rows::decode::<ContactId>("an identifier", &row.bytes) {
        Ok(known) => Ok((known == contact).then_some(place)),
        // It leads to nobody any more: whoever comes with this identifier next is made anew, with it or without.
        Err(error) => {
            tracing::error!(row = %place, "it goes with the contact that gave this identifier: {error}");
            Ok(Some(place))
        }
    }
}

/// All rows that name one of these contacts: as many are read as there are contacts at all.
pub(super) async fn look_through(
    view: &dyn View,
    contacts: &BTreeSet<ContactId>,
) -> Result<BTreeMap<ContactId, Vec<Key>>, Fault> {
    let mut found: BTreeMap<ContactId, Vec<Key>> = BTreeMap::new();
    let mut range = Some(keys::all(keys::IDENTIFIER));
    while let Some(next) = range {
        let page = view.scan(next, Order::Ascending, PAGE).await?;
        for row in page.rows {
            let contact = match rows::decode::<ContactId>("an identifier", &row.value.bytes) {
                Ok(contact) => contact,
                // Nobody can tell any more whose it is.
                Err(error) => {
                    tracing::error!(row = %row.key, "passed over by an erasure: {error}");
                    continue;
                }
            };
            if contacts.contains(&contact) {
                found.entry(contact).or_default().push(row.key);
            }
        }
        range = page.next;
    }
    Ok(found)
}
