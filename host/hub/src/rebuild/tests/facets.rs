//! Facets, of which one row tells of many records.

use std::sync::Arc;

use mihwar_model::Kind;
use mihwar_store::{Edit, MemoryStore};

use super::{House, Teller, both, figures, happen, of, put, record, usual};
use crate::{keys, projection};

#[tokio::test]
async fn a_flipped_byte_in_a_block_is_named_and_mended() {
    let house = House::after(usual()).await;
    let block = house.rows(keys::FACETS).await.remove(0);
    let length = block.value.bytes.len();
    for at in [0, length / 2, length - 1] {
        let mut bytes = block.value.bytes.clone();
        bytes[at] ^= 4;
        put(&*house.core.store, vec![Edit::Put(block.key.clone(), bytes)]).await;
        assert!(!house.is_right().await);
        let report = house.rebuild().await.unwrap();
        let facets = of(&report, "facets");
        assert_eq!((figures(facets), report.mended), ([0, 1, 0], 1));
        assert!(
            facets.examples[0].starts_with("different: a block from feedback "),
            "{facets:?}"
        );
        assert!(house.is_right().await);
    }
}

#[tokio::test]
async fn blocks_do_not_depend_on_how_many_events_are_folded_at_once() {
    let mut teller = Teller::default();
    for number in 0..700_u16 {
        // Neighbours come out of order, and some belong to quite another place.
        let place = if number % 9 == 0 { 10_000 - number } else { number ^ 5 };
        let detail = u8::try_from(number % 251).unwrap();
        let kind = number.is_multiple_of(3).then_some(Kind::Complaint);
        teller.received(usize::from(place), 1, kind, detail);
        if number.is_multiple_of(2) {
            teller.routed(record(usize::from(place)), 1, detail);
        }
    }
    let house = House::over(Arc::new(MemoryStore::new()));
    happen(&*house.core.store, teller.events).await;
    for until in [1, 40, 41, 333, 600, 900] {
        projection::advance(&house.core.store, until, projection::EVENTS_MAX)
            .await
            .unwrap();
    }
    projection::catch_up(&house.core).await.unwrap();
    assert!(house.rows(keys::FACETS).await.len() > 3);
    let (there, expected) = both(&house).await;
    assert_eq!(there, expected);
}

#[tokio::test]
async fn a_damaged_block_is_made_anew_by_who_writes_into_it() {
    let mut teller = Teller::default();
    for number in 0..600_u16 {
        let kind = number.is_multiple_of(3).then_some(Kind::Praise);
        teller.received(usize::from(number), 1, kind, u8::try_from(number % 251).unwrap());
    }
    // One in each of the blocks that are closed by now.
    teller.received(3, 2, Some(Kind::Defect), 1);
    teller.received(200, 2, None, 2);
    let later = teller.events.split_off(500);
    let house = House::after(teller.events).await;
    let blocks = house.rows(keys::FACETS).await;
    assert_eq!(blocks.len(), 3);
    let damaged = blocks.into_iter().map(|row| Edit::Put(row.key, "فهرس تالف".into()));
    put(&*house.core.store, damaged.collect()).await;
    happen(&*house.core.store, later).await;
    projection::catch_up(&house.core).await.unwrap();
    let (there, expected) = both(&house).await;
    assert_eq!(there, expected);
}
