//! Rows that are damaged while read models are kept up.

use mihwar_store::Edit;

use super::{House, happen, put, usual};
use crate::query::{DeliveryFilter, delivery_page};
use crate::{keys, projection};

#[tokio::test]
async fn damaged_rows_stop_nothing_and_a_rebuild_puts_right_what_was_passed_over() {
    let mut before = usual();
    let later = before.split_off(60);
    let house = House::after(before).await;
    let (heads, deliveries) = (house.rows(keys::HEAD).await, house.rows(keys::DELIVERY).await);
    assert!(heads.len() > 3 && deliveries.len() > 3);
    let rows = heads.into_iter().chain(deliveries);
    let damaged = rows.map(|row| Edit::Put(row.key, "صف تالف".into()));
    put(&*house.core.store, damaged.collect()).await;
    happen(&*house.core.store, later).await;
    projection::catch_up(&house.core).await.unwrap();
    assert!(!house.is_right().await);
    house.rebuild().await.unwrap();
    assert!(house.is_right().await);
}

#[tokio::test]
async fn a_damaged_row_hides_no_other_delivery() {
    let house = House::after(usual()).await;
    let deliveries = house.rows(keys::DELIVERY).await;
    let head = house.rows(keys::HEAD).await.remove(0);
    let damaged = [deliveries[1].key.clone(), head.key];
    let damaged = damaged.map(|key| Edit::Put(key, "صف تالف".into()));
    put(&*house.core.store, damaged.into()).await;
    let page = delivery_page(&house.core, &DeliveryFilter::default(), None, 1_000).await;
    assert_eq!(page.unwrap().items.len(), deliveries.len() - 1);
}
