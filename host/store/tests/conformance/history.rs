//! Random histories against a sorted map.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use mihwar_model::OrgId;
use mihwar_store::{ApplyError, Batch, Edit, Guard, Key, KeyRange, Order};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{SPACE, Shared, scan_all, view};

/// A batch in terms of small numbers, made into keys of an organisation later.
#[derive(Clone, Debug)]
struct Step {
    guards: Vec<(u8, GuardKind)>,
    edits: Vec<(u8, EditKind)>,
    entries: u8,
}

#[derive(Clone, Debug)]
enum GuardKind {
    Absent,
    AsItIs,
    Outdated,
}

#[derive(Clone, Debug)]
enum EditKind {
    Put(Vec<u8>),
    Delete,
    Add(i64),
}

/// What the store should hold: per row, version and value.
type Model = BTreeMap<Key, (u64, Vec<u8>)>;

fn any_step() -> impl Strategy<Value = Step> {
    let guard = prop_oneof![
        1 => Just(GuardKind::Absent),
        4 => Just(GuardKind::AsItIs),
        1 => Just(GuardKind::Outdated),
    ];
    let edit = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20).prop_map(EditKind::Put),
        2 => Just(EditKind::Delete),
        3 => prop_oneof![-3..4_i64, Just(i64::MAX), Just(i64::MIN)].prop_map(EditKind::Add),
    ];
    (
        prop::collection::vec((0..8_u8, guard), 0..3),
        prop::collection::vec((0..8_u8, edit), 0..6),
        0..3_u8,
    )
        .prop_map(|(guards, edits, entries)| Step { guards, edits, entries })
}

fn row_key(org: OrgId, number: u8) -> Key {
    // Different lengths, so that some keys begin with others.
    Key::space(SPACE, org).text(&"ش".repeat(usize::from(number))).finish()
}

fn to_batch(step: &Step, org: OrgId, model: &Model) -> Batch {
    let guards = step.guards.iter().map(|(number, kind)| {
        let key = row_key(org, *number);
        let version = model.get(&key).map(|(version, _)| *version);
        match (kind, version) {
            (GuardKind::AsItIs, Some(version)) => Guard::At(key, version),
            (GuardKind::Outdated, version) => Guard::At(key, version.unwrap_or(1) + 1_000_000),
            (GuardKind::Absent | GuardKind::AsItIs, _) => Guard::Absent(key),
        }
    });
    let edits = step.edits.iter().map(|(number, kind)| {
        let key = row_key(org, *number);
        match kind {
            EditKind::Put(value) => Edit::Put(key, value.clone()),
            EditKind::Delete => Edit::Delete(key),
            EditKind::Add(amount) => Edit::Add(key, *amount),
        }
    });
    Batch {
        guards: guards.collect(),
        edits: edits.collect(),
        journal: (0..step.entries).map(|number| vec![number; 3]).collect(),
    }
}

/// What the contract says, written in the plainest way: the rows afterwards, or the row at fault.
fn expected(model: &Model, batch: &Batch, version: u64) -> Result<Model, Key> {
    for guard in &batch.guards {
        let found = model.get(guard.key()).map(|(version, _)| *version);
        let wanted = match guard {
            Guard::Absent(_) => None,
            Guard::At(_, version) => Some(*version),
        };
        if found != wanted {
            return Err(guard.key().clone());
        }
    }
    let mut after = model.clone();
    for edit in &batch.edits {
        match edit {
            Edit::Put(key, value) => {
                after.insert(key.clone(), (version, value.clone()));
            }
            Edit::Delete(key) => {
                after.remove(key);
            }
            Edit::Add(key, amount) => {
                let zero = 0_i64.to_le_bytes().to_vec();
                let before = after.get(key).map_or(zero, |(_, value)| value.clone());
                let before = before.try_into().map(i64::from_le_bytes).map_err(|_| key.clone())?;
                let sum = before.checked_add(*amount).ok_or_else(|| key.clone())?;
                after.insert(key.clone(), (version, sum.to_le_bytes().to_vec()));
            }
        }
    }
    Ok(after)
}

async fn replay(store: &Shared, org: OrgId, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::new();
    for step in steps {
        let batch = to_batch(step, org, &model);
        let before = view(store).await;
        let outcome = store.apply(batch.clone()).await;
        match expected(&model, &batch, before.version() + 1) {
            Ok(after) => {
                let commit = outcome.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(commit.version, before.version() + 1);
                prop_assert_eq!(commit.first_sequence, before.tree().size());
                prop_assert_eq!(commit.tree_size, before.tree().size() + u64::from(step.entries));
                model = after;
            }
            Err(key) => match outcome {
                Err(ApplyError::Stale(found) | ApplyError::Invalid { key: found, .. }) => {
                    prop_assert_eq!(found, key);
                }
                other => prop_assert!(false, "{:?} instead of a refusal of {}", other, key),
            },
        }
        let after = view(store).await;
        let range = KeyRange::prefix(Key::space(SPACE, org).finish());
        for order in [Order::Ascending, Order::Descending] {
            let rows = scan_all(&*after, range.clone(), order, 3).await;
            let mut found: Vec<_> = rows
                .into_iter()
                .map(|row| (row.key, (row.value.version, row.value.bytes)))
                .collect();
            if order == Order::Descending {
                found.reverse();
            }
            let wanted: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(found, wanted);
        }
    }
    Ok(())
}

pub(crate) async fn random_histories_equal_a_sorted_map(store: Shared) {
    // Every history has an organisation of its own, so that one store does for all.
    let org = AtomicU32::new(1);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config {
            cases: 40,
            ..Config::default()
        });
        runner
            .run(&prop::collection::vec(any_step(), 1..10), |steps| {
                let org = OrgId(org.fetch_add(1, Ordering::Relaxed));
                runtime.block_on(replay(&store, org, &steps))
            })
            .unwrap();
    })
    .await
    .unwrap();
}
