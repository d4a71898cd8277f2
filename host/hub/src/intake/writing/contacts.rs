//! Who said it: contacts that are known again, and new ones.

use mihwar_model::{Actor, ContactCreated, ContactId, EventBody};
use mihwar_store::{Edit, Guard};

use super::Writing;
use crate::fault::Fault;
use crate::intake::known::unchanged;
use crate::keys;
use crate::rows;

impl Writing<'_> {
    /// The contact behind a draft of a new item, by the keyed hash of their handle.
    pub(super) fn contact_of(&mut self, actor: &Actor, who: Option<[u8; 16]>) -> Result<ContactId, Fault> {
        match who.and_then(|hash| self.known_contact(hash)) {
            Some(contact) => {
                self.guard_unerased(contact);
                Ok(contact)
            }
            None => self.new_contact(actor, who),
        }
    }

    /// The contact behind a draft, if it is known already and something can be sealed for it. Where not, a new one takes
    /// its place: what somebody says for the first time must not be lost because of a row of the hub.
    fn known_contact(&self, hash: [u8; 16]) -> Option<ContactId> {
        if let Some(contact) = self.met.get(&hash) {
            return Some(*contact);
        }
        let contact = self.known.identifiers.get(&hash)?.said?;
        // Whoever was erased between two looks and speaks again is somebody new.
        if self.known.erased.contains(&contact) {
            return None;
        }
        let Some(what) = self.unusable(contact) else {
            return Some(contact);
        };
        tracing::error!(%contact, "the key of a contact is {what}, a new contact takes its place; run: mihwar ledger verify");
        None
    }

    /// A key that is in memory may have been destroyed since; nothing may be sealed with it then. Not needed for contacts
    /// of this very transaction, but a guard of an absent row holds for them, too.
    pub(super) fn guard_unerased(&mut self, contact: ContactId) {
        if self.unerased.insert(contact) {
            self.guard(Guard::Absent(keys::erased(contact)));
        }
    }

    /// Why nothing can be sealed for a contact that is known already.
    pub(super) fn unusable(&self, contact: ContactId) -> Option<&'static str> {
        match self.known.keys.get(contact) {
            Ok(Some(_)) => None,
            Ok(None) => Some("gone"),
            Err(_) => Some("damaged"),
        }
    }

    /// A new contact behind a draft, with a key of its own.
    fn new_contact(&mut self, actor: &Actor, who: Option<[u8; 16]>) -> Result<ContactId, Fault> {
        let contact = ContactId(self.core.ids.next());
        let (key, sealed) = self.core.vault.new_contact_key(contact)?;
        self.known.keys.insert(contact, key);
        self.edit(Edit::Put(keys::contact_key(contact), sealed));
        if let Some(hash) = who {
            self.met.insert(hash, contact);
            let place = keys::identifier(hash);
            self.guard(unchanged(self.known.identifiers.get(&hash), place.clone()));
            self.edit(Edit::Put(place, rows::encode(&contact)?));
        }
        let created = ContactCreated {
            contact,
            identifiers: u32::from(who.is_some()),
        };
        self.event(actor, EventBody::ContactCreated(created))?;
        Ok(contact)
    }
}
