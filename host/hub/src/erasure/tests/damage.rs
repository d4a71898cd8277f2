//! Erasure of somebody whose key is damaged.

use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{ContactId, Draft};
use mihwar_store::{Edit, MemoryStore};

use super::{House, huda, id, said};
use crate::erasure::find;
use crate::intake::Intake;
use crate::keys;

/// A hub that has not in memory the key of its only contact, and that contact. The key is damaged.
async fn with_a_damaged_key() -> (House, ContactId) {
    let store = Arc::new(MemoryStore::new());
    let house = House::over(store.clone());
    let taken = house.accept(vec![said(&huda(), "1", "لم يصل الطلب")]).await;
    let contact = house.contact_of(id(&taken[0])).await;
    let damage = Edit::Put(keys::contact_key(contact), "مفتاح تالف".into());
    house.write(vec![damage], Vec::new()).await;
    (house.restarted(store, 1_000), contact)
}

fn revised() -> Draft {
    Draft {
        revision: Some("b".to_owned()),
        ..said(&huda(), "1", "وصل متأخراً")
    }
}

#[tokio::test]
async fn a_damaged_key_is_no_erasure_and_whoever_was_made_anew_stays() {
    let (house, contact) = with_a_damaged_key().await;
    let taken = house.accept(vec![revised(), said(&huda(), "2", "Still nothing")]).await;
    assert!(matches!(taken[0], Intake::Damaged { .. }), "{taken:?}");
    let newcomer = house.contact_of(id(&taken[1])).await;
    assert_ne!(newcomer, contact);
    house.erase(contact).await.unwrap();
    assert_eq!(find(&house.core, &huda()).await.unwrap(), Some(newcomer));
    let again = house.accept(vec![revised()]).await;
    assert!(
        matches!(again[0], Intake::Duplicate { revision: 1, .. }),
        "what is erased is not damaged: {again:?}"
    );
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn somebody_whose_key_is_damaged_is_not_made_anew_while_being_erased() {
    let (house, contact) = with_a_damaged_key().await;
    let erasing = house.core.turns.erase([contact]);
    let arrives = || house.accept(vec![said(&huda(), "2", "Still nothing")]);
    let waits = tokio::time::timeout(Duration::from_millis(20), arrives()).await;
    assert!(waits.is_err(), "{waits:?}");
    assert_eq!(find(&house.core, &huda()).await.unwrap(), Some(contact));
    drop(erasing);
    assert!(matches!(arrives().await[0], Intake::New { .. }));
}
