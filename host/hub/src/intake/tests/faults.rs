//! Intake over a store that fails, or that others write to meanwhile.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mihwar_store::{ApplyError, Batch, Commit, Edit, MemoryStore, Statistics, Store, StoreError, View};

use super::{Arrival, House, draft, id, with_file, withdrawal_of};
use crate::fault::Fault;
use crate::keys;

/// What happens when a batch is applied, before any usual one.
pub(super) enum Turn {
    Fail(ApplyError),
    /// Somebody else writes first.
    Meddle(Batch),
    /// Whoever writes falls.
    Panic,
}

/// A store that does as told, and then its work.
pub(super) struct ToldStore {
    pub(super) inner: Arc<MemoryStore>,
    /// The last is the first.
    pub(super) turns: Arc<Mutex<Vec<Turn>>>,
}

#[async_trait]
impl Store for ToldStore {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        let turn = self.turns.lock().unwrap().pop();
        match turn {
            Some(Turn::Fail(error)) => return Err(error),
            Some(Turn::Meddle(first)) => {
                self.inner.apply(first).await?;
            }
            Some(Turn::Panic) => panic!("as told"),
            None => {}
        }
        self.inner.apply(batch).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

#[tokio::test]
async fn files_are_removed_only_when_their_transaction_certainly_did_not_happen() {
    for (error, left) in [(ApplyError::NoSpace { free: 1, floor: 2 }, 0), (ApplyError::Unknown, 1)] {
        let told = ToldStore {
            inner: Arc::default(),
            turns: Arc::new(Mutex::new(vec![Turn::Fail(error.clone())])),
        };
        let house = House::over(told);
        let arrivals: [Arrival; 1] = [with_file(draft("1", "a", "الصورة مرفقة")).into()];
        assert!(house.accept(&arrivals).await.is_err());
        assert_eq!(house.files(), left, "after {error:?}");
    }
}

#[tokio::test]
async fn a_withdrawal_sees_what_came_in_between() {
    let turns = Arc::new(Mutex::new(Vec::new()));
    let told = ToldStore {
        inner: Arc::default(),
        turns: turns.clone(),
    };
    let house = House::over(told);
    let taken = house.accept(&[draft("1", "a", "سؤال").into()]).await.unwrap();
    let seen = house.rows(keys::all(keys::SEEN)).await.remove(0);
    let touch = Batch {
        edits: vec![Edit::Put(seen.key, seen.value.bytes)],
        ..Batch::default()
    };
    turns.lock().unwrap().push(Turn::Meddle(touch));
    house.accept(&[withdrawal_of("1")]).await.unwrap();
    assert!(turns.lock().unwrap().is_empty());
    assert!(!house.has(&keys::content(id(&taken[0]), 1)).await);
    assert_eq!(house.withdrawals().await, 1, "put together anew, and told once");
}

#[tokio::test]
async fn a_withdrawal_of_what_cannot_be_read_waits_for_the_read_models_that_lead_to_its_files() {
    let turns = Arc::new(Mutex::new(Vec::new()));
    let told = ToldStore {
        inner: Arc::default(),
        turns: turns.clone(),
    };
    let house = House::over(told);
    let arrivals: [Arrival; 1] = [with_file(draft("١", "a", "الصورة مرفقة")).into()];
    let place = keys::content(id(&house.accept(&arrivals).await.unwrap()[0]), 1);
    let damage = Batch {
        edits: vec![Edit::Put(place.clone(), vec![0; 40])],
        ..Batch::default()
    };
    house.core.store.apply(damage).await.unwrap();
    // Nothing is folded yet, and cannot be for now.
    for error in [ApplyError::NoSpace { free: 1, floor: 2 }, ApplyError::Unknown] {
        turns.lock().unwrap().push(Turn::Fail(error));
        let fault = house.accept(&[withdrawal_of("١")]).await.unwrap_err();
        assert!(matches!(fault, Fault::NoSpace { .. } | Fault::Busy { .. }), "{fault}");
        assert!(house.has(&place).await && house.files() == 1);
    }
    house.accept(&[withdrawal_of("١")]).await.unwrap();
    assert!(!house.has(&place).await);
    assert_eq!((house.files(), house.withdrawals().await), (0, 1));
    assert!(house.rows(keys::all(keys::FILE)).await.is_empty());
}
