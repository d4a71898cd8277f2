//! Erasures that are cut off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mihwar_model::{Actor, ContactId, EventBody, FeedbackId};
use mihwar_store::{ApplyError, Batch, Commit, Edit, MemoryStore, Statistics, Store, StoreError, View};

use super::{House, huda, said, story, tag};
use crate::erasure::{EraseRefusal, PATIENCE, finish};
use crate::fault::Fault;
use crate::rows::{self, ErasingRow};
use crate::{keys, projection};

/// A store whose disk fails at one write, and at all that follow.
pub(super) struct Failing {
    inner: Arc<MemoryStore>,
    /// Writes before that.
    left: AtomicUsize,
}

impl Failing {
    pub(super) fn after(writes: usize, inner: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            left: AtomicUsize::new(writes),
        })
    }
}

#[async_trait]
impl Store for Failing {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.inner.apply(batch).await,
            Err(_) => Err(ApplyError::Unknown),
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

#[tokio::test]
async fn an_erasure_that_is_cut_off_at_any_write_is_carried_to_its_end() {
    for writes in 0.. {
        assert!(writes < 100, "an erasure of seven records takes no end");
        let store = Arc::new(MemoryStore::new());
        let house = House::over(store.clone());
        let (_, contact) = story(&house).await;
        let more = (10..15).map(|number| said(&huda(), &number.to_string(), "وما زلت أنتظر"));
        house.accept(more.collect()).await;
        projection::catch_up(&house.core).await.unwrap();
        let house = house.restarted(Failing::after(writes, store.clone()), 1_000);
        let is_done = match house.erase(contact).await {
            Ok(_) => true,
            Err(error) => {
                assert!(matches!(error, EraseRefusal::Fault(Fault::Unknown)), "{error}");
                false
            }
        };
        let house = house.restarted(store, 2_000);
        assert_eq!(house.findings().await, Vec::<String>::new(), "after {writes} writes");
        let finished = finish(&house.core, &[]).await.unwrap();
        if !is_done && finished == 0 {
            // Nothing had begun.
            house.erase(contact).await.unwrap();
        }
        assert_eq!(house.rows(keys::CONTENT).await.len(), 1, "after {writes} writes");
        assert_eq!(house.rows(keys::CONTACT_KEY).await.len(), 1);
        assert_eq!(house.rows(keys::IDENTIFIER).await.len(), 1);
        let certificates = house.events().await;
        let certificates = certificates
            .iter()
            .filter(|event| matches!(event, EventBody::ContactErased(erased) if erased.records == 7));
        assert_eq!(certificates.count(), 1, "after {writes} writes");
        let erased: BTreeSet<FeedbackId> = house
            .events()
            .await
            .iter()
            .filter_map(|event| match event {
                EventBody::RecordErased(erased) => Some(erased.feedback),
                _ => None,
            })
            .collect();
        assert_eq!(erased.len(), 7);
        assert_eq!(house.findings().await, Vec::<String>::new(), "after {writes} writes");
        if is_done {
            return;
        }
    }
}

#[tokio::test]
async fn an_erasure_that_was_cut_off_waits_for_what_is_on_its_way_and_holds_up_no_other() {
    let house = House::new();
    let (_, contact) = story(&house).await;
    let begun = ErasingRow {
        by: Actor::Console,
        reason: tag("request"),
    };
    let damaged = keys::erasing(ContactId::from_bytes([0; 16]));
    let edits = vec![
        Edit::Put(damaged, "تالف".into()),
        Edit::Put(keys::erasing(contact), rows::encode(&begun).unwrap()),
    ];
    house.write(edits, Vec::new()).await;
    let working = house.core.turns.work_with([contact]);
    let delivers = async {
        tokio::time::sleep(PATIENCE * 2).await;
        drop(working);
    };
    let (finished, ()) = tokio::join!(finish(&house.core, &[]), delivers);
    assert_eq!(finished.unwrap(), 1);
    assert_eq!(house.rows(keys::CONTENT).await.len(), 1);
    assert_eq!(house.rows(keys::ERASING).await.len(), 1, "the damaged one");
}
