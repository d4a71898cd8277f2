//! Intake beside rows that are damaged.

use std::sync::{Arc, Mutex};

use mihwar_model::{Actor, Author, Draft, EventBody, Identifier};
use mihwar_store::{Batch, Edit, Key};

use super::faults::{ToldStore, Turn};
use super::{Arrival, House, draft, form, id, withdrawal_of};
use crate::fault::Fault;
use crate::intake::{Intake, Rider, accept, accept_or_set_aside};
use crate::keys;

impl House {
    async fn put(&self, place: Key, value: Vec<u8>) {
        let batch = Batch {
            edits: vec![Edit::Put(place, value)],
            ..Batch::default()
        };
        self.core.store.apply(batch).await.unwrap();
    }

    /// The place of the only row that says who somebody is.
    async fn identifier(&self) -> Key {
        self.rows(keys::all(keys::IDENTIFIER)).await.remove(0).key
    }

    /// Damages the row by which an item is known again.
    async fn damage_item(&self, external_id: &str) {
        let hash = self.core.vault.external_hash(external_id);
        for row in self.rows(keys::all(keys::SEEN)).await {
            if keys::last_id(&row.key) == Some(hash) {
                self.put(row.key, "صف تالف".into()).await;
            }
        }
    }

    /// Each result in its place, those of withdrawals too.
    async fn accept_each(&self, arrivals: &[Arrival]) -> Result<Vec<Option<Intake>>, Fault> {
        accept(&self.core, &Actor::Console, &form(), arrivals, &Rider::default()).await
    }
}

fn from_huda(draft: Draft) -> Draft {
    let huda = Identifier {
        scheme: "email".to_owned(),
        id: "huda@example.com".to_owned(),
    };
    Draft {
        author: Some(Author {
            identifiers: vec![huda],
            ..Author::default()
        }),
        ..draft
    }
}

#[tokio::test]
async fn a_damaged_row_of_an_item_costs_that_item_only() {
    let house = House::new();
    let arrivals: [Arrival; 2] = [
        draft("١", "a", "لم يصل الطلب").into(),
        draft("2", "a", "Thank you").into(),
    ];
    let first = house.accept(&arrivals).await.unwrap();
    house.damage_item("١").await;
    let page: [Arrival; 5] = [
        draft("١", "b", "وصل متأخراً").into(),
        withdrawal_of("١"),
        draft("2", "b", "Thank you again").into(),
        withdrawal_of("2"),
        draft("3", "a", "أين الفرع؟").into(),
    ];
    let results = house.accept_each(&page).await.unwrap();
    let is_damaged =
        |result: &Option<Intake>| matches!(result, Some(Intake::Damaged { problem }) if problem.field == "external_id");
    assert!(is_damaged(&results[0]) && is_damaged(&results[1]), "{results:?}");
    assert!(matches!(results[2], Some(Intake::Revised { .. })), "{results:?}");
    assert!(results[3].is_none(), "it is done");
    assert!(matches!(results[4], Some(Intake::New { .. })), "{results:?}");
    assert!(house.has(&keys::content(id(&first[0]), 1)).await);
    assert!(!house.has(&keys::content(id(&first[1]), 1)).await);
}

#[tokio::test]
async fn a_damaged_row_of_a_person_is_made_anew() {
    let house = House::new();
    let old = from_huda(draft("١", "a", "لم يصل الطلب"));
    house.accept(&[old.into()]).await.unwrap();
    let place = house.identifier().await;
    house.put(place.clone(), "صف تالف".into()).await;
    let arrivals: [Arrival; 3] = [
        from_huda(draft("٢", "a", "ولا الرد")).into(),
        from_huda(draft("٣", "a", "Still nothing")).into(),
        from_huda(draft("١", "b", "وصل")).into(),
    ];
    let results = house.accept(&arrivals).await.unwrap();
    assert!(
        results[..2].iter().all(|result| matches!(result, Intake::New { .. })),
        "{results:?}"
    );
    assert!(matches!(results[2], Intake::Revised { .. }), "{results:?}");
    let contacts = house.rows(keys::all(keys::CONTACT_KEY)).await;
    assert_eq!(contacts.len(), 2, "one for both new items");
    let row = house.rows(keys::all(keys::IDENTIFIER)).await.remove(0);
    assert!(row.key == place && row.value.bytes != "صف تالف".as_bytes());
}

#[tokio::test]
async fn a_row_of_a_person_that_others_put_right_meanwhile_is_not_overwritten() {
    let turns = Arc::new(Mutex::new(Vec::new()));
    let told = ToldStore {
        inner: Arc::default(),
        turns: turns.clone(),
    };
    let house = House::over(told);
    house
        .accept(&[from_huda(draft("١", "a", "لم يصل الطلب")).into()])
        .await
        .unwrap();
    let sound = house.rows(keys::all(keys::IDENTIFIER)).await.remove(0);
    house.put(sound.key.clone(), "صف تالف".into()).await;
    let right = Batch {
        edits: vec![Edit::Put(sound.key, sound.value.bytes.clone())],
        ..Batch::default()
    };
    turns.lock().unwrap().push(Turn::Meddle(right));
    house
        .accept(&[from_huda(draft("٢", "a", "ولا الرد")).into()])
        .await
        .unwrap();
    let row = house.rows(keys::all(keys::IDENTIFIER)).await.remove(0);
    assert_eq!(row.value.bytes, sound.value.bytes);
    assert_eq!(house.rows(keys::all(keys::CONTACT_KEY)).await.len(), 1);
}

#[tokio::test]
async fn what_no_source_tells_again_is_set_aside_once() {
    let house = House::new();
    house.accept(&[draft("١", "a", "لم يصل الطلب").into()]).await.unwrap();
    house.damage_item("١").await;
    let page: [Arrival; 3] = [
        draft("١", "b", "وصل متأخراً").into(),
        withdrawal_of("١"),
        draft("2", "a", "Thank you").into(),
    ];
    let rider = Rider::of(Edit::Put(keys::setting("cursor"), vec![1]));
    for _ in 0..2 {
        let results = accept_or_set_aside(&house.core, &Actor::Console, &form(), &page, &rider).await;
        let damaged = |result: &&Option<Intake>| matches!(result, Some(Intake::Damaged { .. }));
        assert_eq!(results.unwrap().iter().filter(damaged).count(), 2);
    }
    assert!(house.has(&keys::setting("cursor")).await, "the channel goes on");
    assert_eq!(house.rows(keys::all(keys::INBOX_DEAD)).await.len(), 2);
    let events = house.events().await;
    let letters = events
        .iter()
        .filter(|event| matches!(event, EventBody::InboundDeadLettered(_)));
    assert_eq!(
        letters.count(),
        2,
        "told again by its source, they are not set aside again"
    );
}
