//! Where in a window a delivery stands: ready, waiting for its time, or behind another one.

use mihwar_model::{ContactId, DeliveryId, Time};

use super::{Lane, Lanes, Survey, Window};

impl Window {
    pub(super) fn is_due(&self, key: Time) -> bool {
        key <= self.now || key > self.now.plus_millis(self.longest)
    }

    /// The oldest delivery of a contact that is known.
    pub(super) fn head(&self, contact: ContactId) -> Option<DeliveryId> {
        let first = DeliveryId::from_bytes([0; 16]);
        let head = self.order.range((contact, first)..).next();
        head.filter(|(whose, _)| *whose == contact).map(|(_, id)| *id)
    }

    pub(super) fn is_shaded(&self, contact: ContactId) -> bool {
        let may_hold = |survey: &Survey| !survey.is_done || survey.crowd.may_hold(contact);
        !self.is_back_known() && self.survey.as_ref().is_none_or(may_hold)
    }

    /// Puts a delivery where it belongs, if it may be picked now or later without anything else having to end first.
    pub(super) fn place(&mut self, id: DeliveryId) {
        let Some(known) = self.known.get(&id).filter(|known| !known.is_flying) else {
            return;
        };
        let (contact, key) = (known.contact, known.key);
        if !known.is_notice {
            let waits = self.is_digest || self.flying.contains_key(&contact) || self.head(contact) != Some(id);
            if waits {
                return;
            }
            if self.lane(id) == Lane::Live && self.is_shaded(contact) {
                self.shaded.insert(id);
                return;
            }
        }
        if self.is_due(key) {
            self.make_ready(id);
        } else {
            self.waiting.insert((key, id));
        }
    }

    pub(super) fn make_ready(&mut self, id: DeliveryId) {
        let lane = self.lane(id);
        self.ready.of(lane).insert(id);
    }

    pub(super) fn unplace(&mut self, id: DeliveryId) {
        self.ready.back.remove(&id);
        self.ready.live.remove(&id);
        self.shaded.remove(&id);
        if let Some(known) = self.known.get(&id) {
            self.waiting.remove(&(known.key, id));
        }
    }

    /// Looks again at those that may have had something before them.
    pub(super) fn place_shaded(&mut self) {
        for id in std::mem::take(&mut self.shaded) {
            self.place(id);
        }
    }

    pub(super) fn place_all(&mut self) {
        self.ready = Lanes::default();
        self.waiting.clear();
        self.shaded.clear();
        let all: Vec<DeliveryId> = self.known.keys().copied().collect();
        all.into_iter().for_each(|id| self.place(id));
    }

    pub(super) fn fly(&mut self, id: DeliveryId) {
        if let Some(known) = self.known.get_mut(&id) {
            known.is_flying = true;
            if !known.is_notice {
                *self.flying.entry(known.contact).or_default() += 1;
            }
        }
    }

    pub(super) fn land(&mut self, contact: ContactId) {
        if let Some(count) = self.flying.get_mut(&contact) {
            *count -= 1;
            if *count == 0 {
                self.flying.remove(&contact);
            }
        }
    }

    pub(super) fn forget(&mut self, id: DeliveryId) {
        self.unplace(id);
        if let Some(known) = self.known.remove(&id) {
            self.order.remove(&(known.contact, id));
            let lane = self.lane(id);
            *self.counts.of(lane) -= 1;
        }
    }
}
