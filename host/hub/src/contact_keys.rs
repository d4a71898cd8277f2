//! Keys of several contacts at once. A damaged one costs what its own contact said, and nobody else's.

use std::collections::HashMap;

use mihwar_model::ContactId;
use mihwar_store::{Key, Versioned, View};

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::vault::{ContactKey, VaultError};

/// The keys of some contacts. Those that were erased are left out.
#[derive(Default)]
pub(crate) struct ContactKeys {
    good: HashMap<ContactId, ContactKey>,
    damaged: HashMap<ContactId, VaultError>,
}

impl ContactKeys {
    /// The key of a contact; `None` when it was erased.
    ///
    /// # Errors
    /// It is there, but does not open.
    pub(crate) fn get(&self, contact: ContactId) -> Result<Option<&ContactKey>, VaultError> {
        match self.damaged.get(&contact) {
            Some(error) => Err(error.clone()),
            None => Ok(self.good.get(&contact)),
        }
    }

    /// The key of a contact, if there is one that opens: for whoever does without it otherwise.
    pub(crate) fn usable(&self, contact: ContactId) -> Option<&ContactKey> {
        self.good.get(&contact)
    }

    /// Whose keys are there and open.
    pub(crate) fn contacts(&self) -> impl Iterator<Item = ContactId> + '_ {
        self.good.keys().copied()
    }

    pub(crate) fn insert(&mut self, contact: ContactId, key: ContactKey) {
        self.good.insert(contact, key);
    }

    fn note(&mut self, contact: ContactId, opened: Result<ContactKey, VaultError>) {
        match opened {
            Ok(key) => drop(self.good.insert(contact, key)),
            Err(error) => drop(self.damaged.insert(contact, error)),
        }
    }
}

impl Core {
    /// The keys of these contacts as a view shows them; those that were erased are left out.
    pub(crate) async fn contact_keys(&self, view: &dyn View, contacts: Vec<ContactId>) -> Result<ContactKeys, Fault> {
        let (mut found, missing) = self.kept_contact_keys(contacts);
        if !missing.is_empty() {
            let rows = view.get_many(&places(&missing)).await?;
            self.open_contact_keys(&mut found, missing, rows);
        }
        Ok(found)
    }

    /// The keys of these contacts as they are now; those that were erased are left out.
    pub(crate) async fn contact_keys_now(&self, contacts: Vec<ContactId>) -> Result<ContactKeys, Fault> {
        let (mut found, missing) = self.kept_contact_keys(contacts);
        if !missing.is_empty() {
            let rows = self.store.get_many(&places(&missing)).await?;
            self.open_contact_keys(&mut found, missing, rows);
        }
        Ok(found)
    }

    /// The keys of these contacts as they lie in the store, whatever of them is in memory: for verification.
    pub(crate) async fn contact_keys_at_rest(
        &self,
        view: &dyn View,
        contacts: Vec<ContactId>,
    ) -> Result<ContactKeys, Fault> {
        let contacts = distinct(contacts);
        let rows = view.get_many(&places(&contacts)).await?;
        let mut found = ContactKeys::default();
        for (contact, row) in contacts.into_iter().zip(rows) {
            if let Some(row) = row {
                found.note(contact, self.vault.read_contact_key(contact, &row.bytes));
            }
        }
        Ok(found)
    }

    /// Which keys are in memory, and which contacts' are not.
    fn kept_contact_keys(&self, contacts: Vec<ContactId>) -> (ContactKeys, Vec<ContactId>) {
        let mut found = ContactKeys::default();
        let mut missing = distinct(contacts);
        missing.retain(|contact| match self.vault.kept_contact_key(*contact) {
            Some(key) => {
                found.insert(*contact, key);
                false
            }
            None => true,
        });
        (found, missing)
    }

    fn open_contact_keys(&self, found: &mut ContactKeys, missing: Vec<ContactId>, rows: Vec<Option<Versioned>>) {
        for (contact, row) in missing.into_iter().zip(rows) {
            if let Some(row) = row {
                found.note(contact, self.vault.open_contact_key(contact, &row.bytes));
            }
        }
    }
}

fn distinct(mut contacts: Vec<ContactId>) -> Vec<ContactId> {
    contacts.sort_unstable();
    contacts.dedup();
    contacts
}

fn places(contacts: &[ContactId]) -> Vec<Key> {
    contacts.iter().map(|contact| keys::contact_key(*contact)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::{ContactId, Time};
    use mihwar_store::{Batch, Edit, MemoryStore, Store};

    use crate::core::Core;
    use crate::keys;

    #[tokio::test]
    async fn a_damaged_key_is_told_apart_from_a_missing_one_and_costs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new());
        let contact = |number: u8| ContactId::from_bytes([number; 16]);
        let writer = Core::for_tests(store.clone(), folder.path(), Time(1_000));
        let (_, good) = writer.vault.new_contact_key(contact(1)).unwrap();
        let damage = Batch {
            edits: vec![
                Edit::Put(keys::contact_key(contact(1)), good),
                Edit::Put(keys::contact_key(contact(2)), "مفتاح تالف".into()),
            ],
            ..Batch::default()
        };
        store.apply(damage).await.unwrap();
        let core = Core::for_tests(store, folder.path(), Time(1_000));
        let all = || -> Vec<ContactId> { (1..=3).map(contact).collect() };
        let now = core.contact_keys_now(all()).await.unwrap();
        let view = core.store.view().await.unwrap();
        let seen = core.contact_keys(&*view, all()).await.unwrap();
        let at_rest = core.contact_keys_at_rest(&*view, all()).await.unwrap();
        for keys in [now, seen, at_rest] {
            assert!(keys.get(contact(1)).unwrap().is_some());
            assert!(keys.get(contact(2)).is_err() && keys.usable(contact(2)).is_none());
            assert!(keys.get(contact(3)).unwrap().is_none());
        }
    }
}
