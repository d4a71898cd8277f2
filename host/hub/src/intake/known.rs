//! What the store already knows about the arrivals of one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use mihwar_model::{ContactId, Draft, FeedbackId, InboundId, InstanceName, Time};
use mihwar_store::{Guard, Key, Order, Versioned, View};
use minicbor::Decode;

use super::Arriving;
use super::remains::{self, Remains};
use crate::contact_keys::ContactKeys;
use crate::core::Core;
use crate::fault::Fault;
use crate::inbound;
use crate::keys;
use crate::rows::{self, SeenRow};

/// De-duplication rows read in one go.
const PAGE: usize = 1000;
/// What errors call them.
const SEEN_ROW: &str = "a de-duplication row";

/// A row that is there, whatever is in it: a damaged one must not stop those whose rows are sound.
#[derive(Debug)]
pub(super) struct Stored<T> {
    version: u64,
    /// What it says; nothing when it is damaged.
    pub(super) said: Option<T>,
}

impl<T: for<'b> Decode<'b, ()>> Stored<T> {
    fn read(what: &'static str, place: &Key, row: &Versioned) -> Self {
        let said = rows::decode(what, &row.bytes);
        let said = said.inspect_err(|error| tracing::error!(row = %place, "{error}"));
        Self {
            version: row.version,
            said: said.ok(),
        }
    }
}

/// That a row is as it was found.
pub(super) fn unchanged<T>(stored: Option<&Stored<T>>, place: Key) -> Guard {
    match stored {
        Some(stored) => Guard::At(place, stored.version),
        None => Guard::Absent(place),
    }
}

/// By what an arrival is known again: keyed hashes, worked out once for looking and for writing.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Where the row of its item may lie, the likeliest place first; nowhere if the item has no name of its own.
    pub(super) places: Vec<Key>,
    /// Who said it. A person is known again by the first identifier only: further ones (a reply address, say) may belong to
    /// many, and a wrong merge cannot be seen by its victims.
    pub(super) who: Option<[u8; 16]>,
}

impl Names {
    fn of(core: &Core, instance: &InstanceName, draft: &Draft) -> Self {
        let author = draft.author.as_ref();
        let first = author.and_then(|author| author.identifiers.first());
        Self {
            places: seen_keys(core, instance, draft),
            who: first.map(|identifier| core.vault.identifier_hash(identifier)),
        }
    }
}

/// What the store already knows about these arrivals.
#[derive(Default)]
pub(super) struct Known {
    /// Of each arrival, in their order; of a withdrawal none.
    names: Vec<Names>,
    /// De-duplication rows; those that are not there are left out.
    pub(super) seen: HashMap<Key, Stored<SeenRow>>,
    /// Whom identifiers lead to; those that are not known are left out.
    pub(super) identifiers: HashMap<[u8; 16], Stored<ContactId>>,
    pub(super) keys: ContactKeys,
    /// Of the contacts without a key, those that were erased.
    pub(super) erased: HashSet<ContactId>,
    /// The de-duplication rows of withdrawn items, by the keyed hash of their external id.
    pub(super) places: HashMap<[u8; 16], Vec<Key>>,
    /// What is left of withdrawn items.
    pub(super) remains: HashMap<FeedbackId, Remains>,
    /// Dead letters that there are already of these arrivals.
    pub(super) set_aside: HashSet<InboundId>,
}

impl Known {
    pub(super) async fn read(core: &Core, arriving: &[Arriving<'_>]) -> Result<Self, Fault> {
        let names = |item: &Arriving<'_>| {
            let draft = item.arrival.draft();
            draft.map(|draft| Names::of(core, item.instance, draft))
        };
        let names = arriving.iter().map(|item| names(item).unwrap_or_default());
        let mut known = Self {
            names: names.collect(),
            ..Self::default()
        };
        known.read_drafts(core).await?;
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
        let contacts: Vec<ContactId> = known.contacts().collect();
        known.keys = core.contact_keys_now(contacts.clone()).await?;
        known.read_erased(core, contacts).await?;
        known.read_set_aside(core, arriving).await?;
        Ok(known)
    }

    /// The names of the arrival with this number, which are taken out.
    pub(super) fn take_names(&mut self, number: usize) -> Names {
        self.names.get_mut(number).map(std::mem::take).unwrap_or_default()
    }

    /// Whom these arrivals lead to, whatever became of their keys.
    pub(super) fn contacts(&self) -> impl Iterator<Item = ContactId> + '_ {
        let found = self.identifiers.values().filter_map(|stored| stored.said);
        let seen = self.seen.values().filter_map(|stored| stored.said.as_ref());
        found.chain(seen.map(|row| row.contact))
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

    /// A source that tells the same items at each call must not leave a dead letter each time.
    async fn read_set_aside(&mut self, core: &Core, arriving: &[Arriving<'_>]) -> Result<(), Fault> {
        let ids = arriving.iter().filter(|item| item.sets_aside);
        let ids: Vec<InboundId> = ids
            .map(|item| inbound::item_id(core, item.instance, item.arrival))
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let places: Vec<Key> = ids.iter().map(|id| keys::inbox_dead(*id)).collect();
        let rows = core.store.get_many(&places).await?;
        let there = ids.into_iter().zip(rows).filter_map(|(id, row)| row.map(|_| id));
        self.set_aside = there.collect();
        Ok(())
    }

    async fn read_drafts(&mut self, core: &Core) -> Result<(), Fault> {
        let places = self.names.iter().flat_map(|names| &names.places);
        let mut lookups: Vec<Key> = places.cloned().collect();
        lookups.sort_unstable();
        lookups.dedup();
        let items = lookups.len();
        let mut hashes: Vec<[u8; 16]> = self.names.iter().filter_map(|names| names.who).collect();
        hashes.sort_unstable();
        hashes.dedup();
        lookups.extend(hashes.iter().map(|hash| keys::identifier(*hash)));
        let mut found = core.store.get_many(&lookups).await?;
        let contacts = found.split_off(items);
        let places = lookups.split_off(items);
        for (place, row) in lookups.into_iter().zip(found) {
            if let Some(row) = row {
                let stored = Stored::read(SEEN_ROW, &place, &row);
                self.seen.insert(place, stored);
            }
        }
        for (hash, (place, row)) in hashes.into_iter().zip(places.iter().zip(contacts)) {
            if let Some(row) = row {
                self.identifiers
                    .insert(hash, Stored::read("an identifier", place, &row));
            }
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
                let stored: Stored<SeenRow> = Stored::read(SEEN_ROW, &row.key, &row.value);
                items.extend(stored.said.clone());
                self.places.entry(hash).or_default().push(row.key.clone());
                self.seen.insert(row.key, stored);
            }
            range = page.next;
        }
        self.remains.extend(remains::read(core, view, &items).await?);
        Ok(())
    }
}

/// Where the row of an item may lie.
///
/// The day of the item stands in the key so that inserts stay close together in the tree although the hash is random:
/// otherwise every insert of a large import would touch another page. The price is that an item moves when its source
/// corrects its times, a wrong time zone say. So the days beside it are looked at, too.
fn seen_keys(core: &Core, instance: &InstanceName, draft: &Draft) -> Vec<Key> {
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
