//! What the store already knows about the arrivals of one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use mihwar_model::{ContactId, Draft, FeedbackId, InstanceName, Time};
use mihwar_store::{Key, Order, Versioned, View};

use super::Arriving;
use super::remains::{self, Remains};
use crate::contact_keys::ContactKeys;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, SeenRow};

/// De-duplication rows read in one go.
const PAGE: usize = 1000;

/// What the store already knows about these arrivals.
#[derive(Default)]
pub(super) struct Known {
    pub(super) seen: HashMap<Key, Option<Versioned>>,
    pub(super) identifiers: HashMap<[u8; 16], Option<ContactId>>,
    pub(super) keys: ContactKeys,
    /// Of the contacts without a key, those that were erased.
    pub(super) erased: HashSet<ContactId>,
    /// The de-duplication rows of withdrawn items, by the keyed hash of their external id.
    pub(super) places: HashMap<[u8; 16], Vec<Key>>,
    /// What is left of withdrawn items.
    pub(super) remains: HashMap<FeedbackId, Remains>,
}

impl Known {
    pub(super) async fn read(core: &Core, arriving: &[Arriving<'_>]) -> Result<Self, Fault> {
        let mut known = Self::default();
        let drafts: Vec<(&InstanceName, &Draft)> = arriving
            .iter()
            .filter_map(|item| Some((item.instance, item.arrival.draft()?)))
            .collect();
        known.read_drafts(core, &drafts).await?;
        let mut withdrawn: BTreeMap<&InstanceName, HashSet<[u8; 16]>> = BTreeMap::new();
        for item in arriving {
            if let Some(external_id) = item.arrival.withdrawn() {
                let hashes = withdrawn.entry(item.instance).or_default();
                hashes.insert(core.vault.external_hash(external_id));
            }
        }
        for (instance, hashes) in withdrawn {
            let view = core.store.view().await?;
            known.read_withdrawn(core, &*view, instance, &hashes).await?;
        }
        let mut contacts: Vec<ContactId> = known.identifiers.values().filter_map(|contact| *contact).collect();
        for row in known.seen.values().flatten() {
            contacts.push(rows::decode::<SeenRow>("a de-duplication row", &row.bytes)?.contact);
        }
        known.keys = core.contact_keys_now(contacts.clone()).await?;
        known.read_erased(core, contacts).await?;
        Ok(known)
    }

    async fn read_erased(&mut self, core: &Core, contacts: Vec<ContactId>) -> Result<(), Fault> {
        let without_key = |contact: &ContactId| matches!(self.keys.get(*contact), Ok(None));
        let missing: Vec<ContactId> = contacts.into_iter().filter(without_key).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let places: Vec<Key> = missing.iter().map(|contact| keys::erased(*contact)).collect();
        let rows = core.store.get_many(&places).await?;
        let erased = missing.into_iter().zip(rows).filter(|(_, row)| row.is_some());
        self.erased = erased.map(|(contact, _)| contact).collect();
        Ok(())
    }

    async fn read_drafts(&mut self, core: &Core, drafts: &[(&InstanceName, &Draft)]) -> Result<(), Fault> {
        let places = drafts
            .iter()
            .flat_map(|(instance, draft)| seen_keys(core, instance, draft));
        let mut lookups: Vec<Key> = places.collect();
        lookups.sort_unstable();
        lookups.dedup();
        let items = lookups.len();
        let mut hashes: Vec<[u8; 16]> = drafts.iter().filter_map(|(_, draft)| identity(core, draft)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        lookups.extend(hashes.iter().map(|hash| keys::identifier(*hash)));
        let mut found = core.store.get_many(&lookups).await?;
        let contacts = found.split_off(items);
        self.seen = lookups.into_iter().zip(found).collect();
        for (hash, row) in hashes.into_iter().zip(contacts) {
            let contact = row
                .map(|row| rows::decode::<ContactId>("an identifier", &row.bytes))
                .transpose()?;
            self.identifiers.insert(hash, contact);
        }
        Ok(())
    }

    /// Finds items by their external ids alone, all in one look through the instance: they may lie under any day.
    async fn read_withdrawn(
        &mut self,
        core: &Core,
        view: &dyn View,
        instance: &InstanceName,
        withdrawn: &HashSet<[u8; 16]>,
    ) -> Result<(), Fault> {
        let (mut items, mut range) = (Vec::new(), Some(keys::seen_of(instance)));
        while let Some(next) = range {
            let page = view.scan(next, Order::Ascending, PAGE).await?;
            for row in page.rows {
                let hash = keys::last_id(&row.key).filter(|hash| withdrawn.contains(hash));
                let Some(hash) = hash else { continue };
                items.push(rows::decode::<SeenRow>("a de-duplication row", &row.value.bytes)?);
                self.places.entry(hash).or_default().push(row.key.clone());
                self.seen.insert(row.key, Some(row.value));
            }
            range = page.next;
        }
        self.remains.extend(remains::read(core, view, &items).await?);
        Ok(())
    }
}

/// Where the row of an item may lie, the likeliest place first; nowhere if the item has no name of its own.
///
/// The day of the item stands in the key so that inserts stay close together in the tree although the hash is random:
/// otherwise every insert of a large import would touch another page. The price is that an item moves when its source
/// corrects its times, a wrong time zone say. So the days beside it are looked at, too.
pub(super) fn seen_keys(core: &Core, instance: &InstanceName, draft: &Draft) -> Vec<Key> {
    let Some(external_id) = draft.external_id.as_deref() else {
        return Vec::new();
    };
    let hash = core.vault.external_hash(external_id);
    let at = |day| keys::seen(instance, day, hash);
    match draft.occurred_at.map(Time::day) {
        None => vec![at(0)],
        Some(day) => vec![at(day), at(day.saturating_sub(1)), at(day.saturating_add(1))],
    }
}

/// A person is known again by the first identifier only: further ones (a reply address, say) may belong
/// to many, and a wrong merge cannot be seen by its victims.
pub(super) fn identity(core: &Core, draft: &Draft) -> Option<[u8; 16]> {
    let first = draft.author.as_ref()?.identifiers.first()?;
    Some(core.vault.identifier_hash(first))
}
