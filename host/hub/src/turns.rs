//! Who works with what a contact said, at this moment: whoever takes something in for it or hands something over, and
//! whoever erases it. They exclude each other, so that nothing is on its way while it is destroyed. All in memory: one
//! process has the store, and after its end nothing is on its way any more.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mihwar_model::ContactId;

/// How often whoever wants to erase looks whether the others have ended.
const LOOK: Duration = Duration::from_millis(10);

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many work with each contact.
    working: HashMap<ContactId, usize>,
    erasing: BTreeSet<ContactId>,
}

impl Turns {
    /// Begins to work with all of these contacts; with none if one of them is being erased.
    pub(crate) fn work_with_all(&self, contacts: impl IntoIterator<Item = ContactId>) -> Option<Working<'_>> {
        let contacts: BTreeSet<ContactId> = contacts.into_iter().collect();
        let mut state = self.state();
        if !contacts.is_disjoint(&state.erasing) {
            return None;
        }
        Some(self.enter(&mut state, contacts))
    }

    /// Begins to work with those of these contacts that nobody erases: see [`Working::covers`].
    pub(crate) fn work_with(&self, contacts: impl IntoIterator<Item = ContactId>) -> Working<'_> {
        let mut state = self.state();
        let free = contacts.into_iter().filter(|contact| !state.erasing.contains(contact));
        let free = free.collect();
        self.enter(&mut state, free)
    }

    fn enter(&self, state: &mut State, contacts: BTreeSet<ContactId>) -> Working<'_> {
        for contact in &contacts {
            *state.working.entry(*contact).or_default() += 1;
        }
        Working { turns: self, contacts }
    }

    /// Begins to erase those of these contacts with which nobody works: see [`Erasing::covers`].
    pub(crate) fn erase(&self, contacts: impl IntoIterator<Item = ContactId>) -> Erasing<'_> {
        let mut state = self.state();
        let mut taken = BTreeSet::new();
        for contact in contacts {
            if !state.working.contains_key(&contact) && state.erasing.insert(contact) {
                taken.insert(contact);
            }
        }
        Erasing {
            turns: self,
            contacts: taken,
        }
    }

    /// Begins to erase a contact once those who work with it have ended: from now on nobody else begins to, so that a contact
    /// of whom much is on its way has its turn, too. One with which somebody works still after `patience` is not covered,
    /// and neither is one that somebody else erases.
    pub(crate) async fn erase_in_turn(&self, contact: ContactId, patience: Duration) -> Erasing<'_> {
        let mut waited = Duration::ZERO;
        let announced = Erasing {
            turns: self,
            contacts: BTreeSet::from_iter(self.state().erasing.insert(contact).then_some(contact)),
        };
        while announced.covers(contact) && self.state().working.contains_key(&contact) {
            if waited >= patience {
                return self.erase([]);
            }
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
        announced
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by whoever works with contacts.
#[derive(Debug)]
pub(crate) struct Working<'a> {
    turns: &'a Turns,
    contacts: BTreeSet<ContactId>,
}

impl Working<'_> {
    /// Whether a contact is among those that are worked with.
    pub(crate) fn covers(&self, contact: ContactId) -> bool {
        self.contacts.contains(&contact)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        for contact in &self.contacts {
            if let Some(count) = state.working.get_mut(contact) {
                *count -= 1;
                if *count == 0 {
                    state.working.remove(contact);
                }
            }
        }
    }
}

/// Held by whoever erases contacts, or records of theirs.
#[derive(Debug)]
pub(crate) struct Erasing<'a> {
    turns: &'a Turns,
    contacts: BTreeSet<ContactId>,
}

impl Erasing<'_> {
    /// Whether a contact is among those that may be erased.
    pub(crate) fn covers(&self, contact: ContactId) -> bool {
        self.contacts.contains(&contact)
    }
}

impl Drop for Erasing<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        for contact in &self.contacts {
            state.erasing.remove(contact);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mihwar_model::ContactId;

    use super::{LOOK, Turns};

    fn contact(number: u8) -> ContactId {
        ContactId::from_bytes([number; 16])
    }

    #[test]
    fn who_is_worked_with_is_not_erased_and_the_other_way_round() {
        let turns = Turns::default();
        let (first, second) = (turns.work_with([contact(1)]), turns.work_with([contact(1), contact(2)]));
        drop(first);
        let erasing = turns.erase([contact(1), contact(3)]);
        assert!(!erasing.covers(contact(1)) && erasing.covers(contact(3)));
        drop(second);
        let more = turns.erase([contact(1), contact(3)]);
        assert!(more.covers(contact(1)) && !more.covers(contact(3)), "one at a time");
        let working = turns.work_with([contact(1), contact(2)]);
        assert!(!working.covers(contact(1)) && working.covers(contact(2)));
        assert!(turns.work_with_all([contact(2), contact(3)]).is_none());
        drop((erasing, more));
        assert!(turns.work_with_all([contact(2), contact(3)]).is_some());
    }

    #[test]
    fn whoever_could_not_begin_holds_nobody_up() {
        let turns = Turns::default();
        let erasing = turns.erase([contact(1)]);
        assert!(turns.work_with_all([contact(1), contact(2)]).is_none());
        assert!(turns.erase([contact(2)]).covers(contact(2)));
        drop(erasing);
        assert!(turns.erase([contact(1)]).covers(contact(1)));
    }

    #[tokio::test]
    async fn who_waits_to_erase_comes_next_however_much_is_on_its_way() {
        let turns = Turns::default();
        let mut working = Some(turns.work_with([contact(1)]));
        let erase = turns.erase_in_turn(contact(1), Duration::from_mins(1));
        let work = async {
            tokio::time::sleep(LOOK).await;
            assert!(
                !turns.work_with([contact(1)]).covers(contact(1)),
                "nobody begins meanwhile"
            );
            drop(working.take());
        };
        let (erasing, ()) = tokio::join!(erase, work);
        assert!(erasing.covers(contact(1)));
        let second = turns.erase_in_turn(contact(1), Duration::from_mins(1)).await;
        assert!(!second.covers(contact(1)), "one at a time");
        drop((second, erasing));
        let working = turns.work_with([contact(1)]);
        assert!(working.covers(contact(1)));
        assert!(!turns.erase_in_turn(contact(1), LOOK).await.covers(contact(1)));
        assert!(
            turns.work_with([contact(1)]).covers(contact(1)),
            "whoever lost patience holds nobody up"
        );
    }
}
