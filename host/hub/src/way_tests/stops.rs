//! Workers that are told to stop while there is more to do.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use mihwar_model::Kind;
use mihwar_store::{ApplyError, Batch, Commit, Order, Statistics, Store, StoreError, View};
use tokio_util::sync::CancellationToken;

use super::{House, accept, complaint};
use crate::hub::Hub;
use crate::{keys, pipeline, projection};

/// A store that tells its writers to stop as soon as they write.
struct StopsWriters(Arc<dyn Store>, Arc<OnceLock<CancellationToken>>);

#[async_trait]
impl Store for StopsWriters {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.0.view().await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        if let Some(stop) = self.1.get() {
            stop.cancel();
        }
        self.0.apply(batch).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }

    fn statistics(&self) -> Statistics {
        self.0.statistics()
    }
}

/// A hub with so many records that are neither routed nor in its read models, whose workers are told to stop in the middle
/// of their first step.
async fn with_a_backlog(house: &mut House, records: usize) -> (Hub, CancellationToken) {
    let hub = house.open("").await.unwrap();
    let backlog = (0..records).map(|n| complaint(&n.to_string(), "a", Kind::Complaint));
    accept(&hub, backlog.collect()).await;
    drop(hub);
    let (told, stop) = (Arc::new(OnceLock::new()), CancellationToken::new());
    house.store = Arc::new(StopsWriters(Arc::clone(&house.store), told.clone()));
    let hub = house.open("").await.unwrap();
    told.set(stop.clone()).unwrap();
    (hub, stop)
}

#[tokio::test]
async fn who_keeps_the_read_models_hears_a_stop_although_there_is_more_to_do() {
    let mut house = House::new();
    let (hub, stop) = with_a_backlog(&mut house, 900).await;
    projection::run(hub.shared.core.clone(), stop).await;
    let view = house.store.view().await.unwrap();
    let (position, _) = projection::position(&*view).await.unwrap();
    assert!(
        position > 0 && position < view.tree().size(),
        "{position} of {}",
        view.tree().size()
    );
}

#[tokio::test]
async fn the_pipeline_hears_a_stop_although_there_is_more_to_do() {
    let mut house = House::new();
    let (hub, stop) = with_a_backlog(&mut house, 900).await;
    pipeline::run(hub.shared.clone(), stop).await;
    let view = house.store.view().await.unwrap();
    let queued = view
        .scan(keys::all(keys::QUEUE), Order::Ascending, 1_000)
        .await
        .unwrap();
    assert_eq!(queued.rows.len(), 900 - 256);
}
