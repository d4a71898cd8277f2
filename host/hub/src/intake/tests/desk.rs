//! Single arrivals that come at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use mihwar_model::{Actor, Author, ContactId, Draft, Identifier, InstanceName};
use mihwar_store::{ApplyError, Batch, Commit, Edit, Key, MemoryStore, Statistics, Store, StoreError, Versioned, View};

use super::faults::{ToldStore, Turn};
use super::{House, LATE, draft, form, id, with_file};
use crate::core::Core;
use crate::fault::Fault;
use crate::intake::{Arrival, Desk, Intake};
use crate::{idempotency, keys};

async fn at_once(house: &House, drafts: Vec<(InstanceName, Draft)>) -> Vec<Result<Intake, Fault>> {
    let accept = |(instance, draft)| Desk::accept(&house.core, Actor::Console, instance, draft);
    join_all(drafts.into_iter().map(accept)).await
}

fn complaints(count: usize) -> Vec<(InstanceName, Draft)> {
    let complaint = |n: usize| (form(), draft(&format!("شكوى-{n}"), "a", "لم يصل الطلب"));
    (0..count).map(complaint).collect()
}

#[tokio::test]
async fn those_who_come_together_share_a_transaction_and_each_gets_their_own_answer() {
    let house = House::new();
    let hall = InstanceName::new("hall").unwrap();
    let mut drafts = complaints(100);
    drafts.push((hall, draft("شكوى-0", "a", "the same id at another source")));
    drafts.push((form(), draft("شكوى-7", "a", "لم يصل الطلب")));
    drafts.push((form(), draft(&"ط".repeat(5_000), "a", "an id that is too long")));
    let results: Vec<Intake> = at_once(&house, drafts).await.into_iter().map(Result::unwrap).collect();
    assert!(results[..101].iter().all(|result| matches!(result, Intake::New { .. })));
    assert!(matches!(results[101], Intake::Duplicate { .. }));
    assert_eq!(id(&results[101]), id(&results[7]));
    assert!(matches!(&results[102], Intake::Refused { problems } if !problems.is_empty()));
    assert_eq!(house.rows(keys::all(keys::CONTENT)).await.len(), 101);
    let batches = house.core.store.statistics().batches;
    assert!(batches <= 3, "{batches} transactions for those who stood in one line");
    // Nobody waits now; who comes later is served all the same.
    assert!(at_once(&house, complaints(101)).await.pop().unwrap().is_ok());
    assert_eq!(house.rows(keys::all(keys::CONTENT)).await.len(), 102);
}

#[tokio::test]
async fn while_somebody_is_erased_only_their_own_words_wait() {
    let house = House::new();
    at_once(&house, complaints(1)).await.remove(0).unwrap();
    let key = house.rows(keys::all(keys::CONTACT_KEY)).await.remove(0).key;
    let contact = ContactId::from_bytes(keys::last_id(&key).unwrap());
    let erasing = house.core.turns.erase([contact]);
    // One after the other, so that each has a clerk of its own, and there is no third.
    let revises = async |millis: u64| {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        at_once(&house, vec![(form(), draft("شكوى-0", "b", "وصل متأخرًا"))]).await
    };
    let other = async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let other = at_once(&house, vec![(form(), draft("شكوى-9", "a", "The courier was rude"))]);
        // Less than whoever is erased is waited for.
        let taken = tokio::time::timeout(Duration::from_secs(2), other).await;
        drop(erasing);
        taken
    };
    let (first, second, other) = tokio::join!(revises(0), revises(20), other);
    assert!(matches!(other.unwrap()[0], Ok(Intake::New { .. })));
    assert!(first[0].is_ok() && second[0].is_ok(), "{first:?} {second:?}");
}

fn told(turns: Vec<Turn>) -> House {
    House::over(ToldStore {
        inner: Arc::default(),
        turns: Arc::new(Mutex::new(turns)),
    })
}

#[tokio::test]
async fn when_others_change_what_a_transaction_rests_on_each_is_taken_in_alone() {
    let house = House::new();
    let known = id(&at_once(&house, complaints(1)).await.remove(0).unwrap());
    let row = house.rows(keys::all(keys::SEEN)).await.remove(0);
    let inner = ToldStore {
        inner: Arc::default(),
        turns: Arc::default(),
    };
    let meddle = Batch {
        edits: vec![Edit::Put(row.key, row.value.bytes)],
        ..Batch::default()
    };
    inner.turns.lock().unwrap().push(Turn::Meddle(meddle));
    let meddled = House::over(inner);
    let results: Vec<Intake> = at_once(&meddled, complaints(40))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    // What came in between is that very item.
    assert!(matches!(results[0], Intake::Duplicate { feedback, .. } if feedback == known));
    assert!(results[1..].iter().all(|result| matches!(result, Intake::New { .. })));
    assert_eq!(meddled.rows(keys::all(keys::CONTENT)).await.len(), 39);
}

#[tokio::test]
async fn what_the_store_says_of_a_transaction_is_said_to_all_in_it() {
    let retry_after = Duration::from_millis(70);
    for error in [ApplyError::Busy { retry_after }, ApplyError::Unknown] {
        let house = told(vec![Turn::Fail(error.clone())]);
        let results = at_once(&house, complaints(20)).await;
        let unknown = matches!(error, ApplyError::Unknown);
        for result in results {
            match result.unwrap_err() {
                Fault::Busy { retry_after: told } => assert!(!unknown && told == retry_after),
                fault => assert!(unknown && matches!(fault, Fault::Unknown)),
            }
        }
        // Tried by nobody a second time: after an unknown outcome that could double them.
        assert_eq!(house.core.store.statistics().batches, 0);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_costs_its_own_arrival_only() {
    let house = House::new();
    // Where files are written before they get their place.
    std::fs::remove_dir_all(house.folder.path().join("unfinished")).unwrap();
    let mut drafts = complaints(5);
    drafts[2].1 = with_file(draft("مع صورة", "a", "الصورة مرفقة"));
    let results = at_once(&house, drafts).await;
    for (n, result) in results.into_iter().enumerate() {
        match result {
            Ok(intake) => assert!(n != 2 && matches!(intake, Intake::New { .. })),
            Err(fault) => assert!(n == 2 && matches!(fault, Fault::Blob(_)), "{n}: {fault}"),
        }
    }
    assert_eq!(house.rows(keys::all(keys::CONTENT)).await.len(), 4);
}

#[tokio::test]
async fn when_all_clerks_fall_those_in_line_are_served_all_the_same() {
    let house = told(vec![Turn::Panic, Turn::Panic]);
    // Each of both has taken as many out of the line as share a transaction. A task for each, so that all stand in line
    // before the first clerk comes.
    let ask = |(instance, draft)| {
        let core = house.core.clone();
        tokio::spawn(async move { Desk::accept(&core, Actor::Console, instance, draft).await })
    };
    let asking: Vec<_> = complaints(2 * 256 + 9).into_iter().map(ask).collect();
    let all = tokio::time::timeout(Duration::from_mins(1), join_all(asking)).await;
    let results = all
        .expect("nobody serves those who are left")
        .into_iter()
        .map(Result::unwrap);
    let (unknown, served): (Vec<_>, Vec<_>) = results.partition(|result| matches!(result, Err(Fault::Unknown)));
    assert_eq!((unknown.len(), served.len()), (2 * 256, 9));
    assert!(served.iter().all(Result::is_ok));
}

/// Notes for how many callers something was being taken in at each write.
#[derive(Default)]
struct CountingStore {
    inner: MemoryStore,
    core: Arc<OnceLock<Arc<Core>>>,
    counted: Arc<Mutex<Vec<usize>>>,
}

#[async_trait]
impl Store for CountingStore {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        let callers = self.core.get().unwrap().right_of_way.callers();
        self.counted.lock().unwrap().push(callers);
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
async fn each_caller_counts_once_and_a_page_is_one_caller() {
    let store = CountingStore::default();
    let (core, counted) = (store.core.clone(), store.counted.clone());
    let house = House::over(store);
    assert!(core.set(house.core.clone()).is_ok());
    let counted = || std::mem::take(&mut *counted.lock().unwrap());
    at_once(&house, complaints(1)).await;
    assert_eq!(counted(), [1]);
    at_once(&house, complaints(40)).await;
    assert_eq!(counted(), [40]);
    let page: Vec<Arrival> = complaints(90).into_iter().map(|(_, draft)| draft.into()).collect();
    house.accept(&page).await.unwrap();
    assert_eq!(counted(), [1]);
    assert_eq!((house.core.right_of_way.callers(), house.core.desk.waiting()), (0, 0));
}

/// Counts how often somebody looks into it.
#[derive(Default)]
struct LookedInto {
    inner: MemoryStore,
    looks: Arc<AtomicUsize>,
}

#[async_trait]
impl Store for LookedInto {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.inner.view().await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.inner.get_many(keys).await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
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
async fn one_look_and_one_write_are_enough_for_all_who_come_together_and_one_look_for_a_key() {
    let store = LookedInto::default();
    let looks = store.looks.clone();
    let looks = || looks.swap(0, Ordering::Relaxed);
    let house = House::over(store);
    let said_by_huda = |n: usize| {
        let huda = Identifier {
            scheme: "crm".to_owned(),
            id: "c-17".to_owned(),
        };
        let said = Draft {
            author: Some(Author {
                identifiers: vec![huda],
                ..Author::default()
            }),
            occurred_at: Some(LATE),
            ..draft(&format!("شكوى-{n}"), "a", "لم يصل الطلب")
        };
        (form(), said)
    };
    at_once(&house, vec![said_by_huda(0)]).await.remove(0).unwrap();
    assert_eq!((looks(), house.core.store.statistics().batches), (1, 1), "she is new");
    for result in at_once(&house, (1..=40).map(said_by_huda).collect()).await {
        result.unwrap();
    }
    assert_eq!((looks(), house.core.store.statistics().batches), (1, 2));
    let key = idempotency::check(&house.core, None, "مفتاح", [1; 32]).await;
    assert!(key.is_ok());
    assert_eq!(looks(), 1);
}
