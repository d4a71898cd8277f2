//! A restore that lets no token of the older state back in: some may have been revoked since.

use std::path::Path;

use mihwar_model::{Actor, Event, EventBody, Time, TokenId, TokenRevoked};
use mihwar_store::{Batch, Edit, Execution, Order, RedbSettings, RedbStore, Store};

use super::restoring::{RestoreError, at};
use crate::fault::Fault;
use crate::keys;

/// Tokens revoked in one transaction.
const PAGE: usize = 500;

/// Revokes every API token in the store's file, which nobody serves, and says so in its ledger. Blocks.
pub(super) fn revoke_all(file: &Path, now: Time) -> Result<(), RestoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(at(file))?;
    let settings = RedbSettings {
        free_space_floor: 0,
        natures: keys::NATURES,
        execution: Execution::Inline,
        ..RedbSettings::default()
    };
    let store = RedbStore::open(file, settings).map_err(Fault::from)?;
    runtime.block_on(async {
        let revoked = revoke(&store, now).await;
        let closed = store.close().await;
        revoked?;
        closed.map_err(Fault::from)
    })?;
    Ok(())
}

async fn revoke(store: &RedbStore, now: Time) -> Result<(), Fault> {
    loop {
        let view = store.view().await?;
        let page = view.scan(keys::all(keys::TOKEN), Order::Ascending, PAGE).await?;
        drop(view);
        if page.rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for row in page.rows {
            let token = TokenId::from_bytes(keys::last_id(&row.key).unwrap_or_default());
            let event = Event {
                at: now,
                actor: Actor::Console,
                body: EventBody::TokenRevoked(TokenRevoked { token }),
            };
            batch.journal.push(event.to_bytes().map_err(Fault::Encoding)?);
            batch.edits.push(Edit::Delete(row.key));
        }
        store.apply(batch).await?;
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{Event, EventBody, Time, TokenId};
    use mihwar_store::{Batch, Edit, Order, RedbSettings, RedbStore, Store};

    use super::revoke_all;
    use crate::keys;

    #[test]
    fn every_token_goes_and_the_ledger_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("رموز.redb");
        let settings = RedbSettings {
            free_space_floor: 0,
            ..RedbSettings::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let token = |number: u8| TokenId::from_bytes([number; 16]);
        let store = RedbStore::open(&file, settings).unwrap();
        runtime.block_on(async {
            let batch = Batch {
                edits: (1..=3).map(|n| Edit::Put(keys::token(token(n)), vec![n])).collect(),
                ..Batch::default()
            };
            store.apply(batch).await.unwrap();
            store.close().await.unwrap();
        });
        drop(store);
        revoke_all(&file, Time(1_790_000_000_000)).unwrap();
        let store = RedbStore::open(&file, settings).unwrap();
        runtime.block_on(async {
            let view = store.view().await.unwrap();
            let left = view.scan(keys::all(keys::TOKEN), Order::Ascending, 10).await.unwrap();
            assert!(left.rows.is_empty());
            let revoked = view.journal(0, 10).await.unwrap().into_iter().map(|entry| {
                match Event::from_bytes(&entry.bytes).unwrap().body {
                    EventBody::TokenRevoked(revoked) => revoked.token,
                    other => panic!("{other:?}"),
                }
            });
            assert_eq!(revoked.collect::<Vec<_>>(), [token(1), token(2), token(3)]);
        });
    }
}
