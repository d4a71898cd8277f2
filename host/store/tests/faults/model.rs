//! What a store should hold, as a plain map; and reading all that one does hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use mihwar_ledger::{Frontier, leaf_hash};
use mihwar_store::{Batch, Commit, Edit, Guard, Key, KeyRange, Order, StoreError, View};

/// All that a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) version: u64,
    /// Per row, version and value.
    pub(crate) rows: BTreeMap<Key, (u64, Arc<[u8]>)>,
    pub(crate) journal: Vec<Arc<[u8]>>,
}

impl Model {
    /// What the contract says, written in the plainest way: all of the batch, or nothing and the row at fault.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Result<Commit, Key> {
        for guard in &batch.guards {
            let found = self.rows.get(guard.key()).map(|(version, _)| *version);
            let wanted = match guard {
                Guard::Absent(_) => None,
                Guard::At(_, version) => Some(*version),
            };
            if found != wanted {
                return Err(guard.key().clone());
            }
        }
        let version = self.version + 1;
        let mut changed: BTreeMap<&Key, Option<Arc<[u8]>>> = BTreeMap::new();
        for edit in &batch.edits {
            match edit {
                Edit::Put(key, value) => changed.insert(key, Some(value.as_slice().into())),
                Edit::Delete(key) => changed.insert(key, None),
                Edit::Add(key, amount) => {
                    let stored = || self.rows.get(key).map(|(_, value)| Arc::clone(value));
                    let before = match changed.get(key).cloned().unwrap_or_else(stored) {
                        Some(value) => i64::from_le_bytes(value[..].try_into().map_err(|_| key.clone())?),
                        None => 0,
                    };
                    let sum = before.checked_add(*amount).ok_or_else(|| key.clone())?;
                    changed.insert(key, Some(sum.to_le_bytes().as_slice().into()))
                }
                Edit::PutSequence(key, entry) => {
                    let sequence = (self.journal.len() + entry) as u64;
                    changed.insert(key, Some(sequence.to_le_bytes().as_slice().into()))
                }
            };
        }
        for (key, value) in changed {
            match value {
                Some(value) => self.rows.insert(key.clone(), (version, value)),
                None => self.rows.remove(key),
            };
        }
        let first_sequence = self.journal.len() as u64;
        self.version = version;
        self.journal
            .extend(batch.journal.iter().map(|entry| entry.as_slice().into()));
        Ok(Commit {
            version,
            first_sequence,
            tree_size: self.journal.len() as u64,
        })
    }
}

/// Everything that a view shows, page by page, in an order of its own for each half. The tree has to be that of the
/// journal, or it is an error as any other damage is.
pub(crate) async fn contents(view: &dyn View) -> Result<Model, StoreError> {
    let mut model = Model {
        version: view.version(),
        ..Model::default()
    };
    for order in [Order::Ascending, Order::Descending] {
        let mut rows = BTreeMap::new();
        let mut next = Some(KeyRange::all());
        while let Some(range) = next {
            let page = view.scan(range, order, 100).await?;
            for row in page.rows {
                rows.insert(row.key, (row.value.version, row.value.bytes.into()));
            }
            next = page.next;
        }
        if order == Order::Descending && rows != model.rows {
            return Err(damage("rows read upwards are not those read downwards"));
        }
        model.rows = rows;
    }
    let mut frontier = Frontier::new();
    loop {
        let entries = view.journal(frontier.size(), 100).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            if entry.sequence != frontier.size() {
                return Err(damage("the journal has a gap"));
            }
            frontier.append(leaf_hash(&entry.bytes));
            model.journal.push(entry.bytes.into());
        }
    }
    if *view.tree() != frontier {
        return Err(damage("the journal is not that of the tree"));
    }
    Ok(model)
}

fn damage(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}

/// Where two models differ, in few words.
pub(crate) fn difference(found: &Model, wanted: &Model) -> String {
    let rows = wanted.rows.iter().find(|(key, row)| found.rows.get(*key) != Some(*row));
    let more = found.rows.keys().find(|key| !wanted.rows.contains_key(*key));
    format!(
        "version {} for {}, {} journal entries for {}, first row lost or changed: {:?}, first row too many: {more:?}",
        found.version,
        wanted.version,
        found.journal.len(),
        wanted.journal.len(),
        rows.map(|(key, _)| key),
    )
}
