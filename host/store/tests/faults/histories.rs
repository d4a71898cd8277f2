//! Random histories of both engines against a plain map: batches, views kept open over later writes, scans both ways in
//! pages, the journal, and (redb) closing and opening in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mihwar_model::OrgId;
use mihwar_store::{ApplyError, Batch, Edit, Guard, Key, KeyRange, MemoryStore, Order, Space, Store, View};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::disk::{Disk, open};
use crate::model::{Model, contents};
use crate::random::{rounds, summary};

/// Most views that a history keeps open.
const VIEWS: usize = 3;

#[derive(Clone, Copy)]
enum Engine {
    Memory,
    Redb,
}

/// Something done to a store, in terms of small numbers.
#[derive(Clone, Debug)]
enum Step {
    Apply(Write),
    /// Opens a view and keeps it; the oldest goes when there are too many.
    Keep,
    /// Reads part of a kept view, or of a new one.
    Read(Read),
    /// Reads all of every kept view.
    Compare,
    Reopen,
}

#[derive(Clone, Debug)]
struct Write {
    guards: Vec<(u8, GuardKind)>,
    edits: Vec<(u8, EditKind)>,
    entries: u8,
}

#[derive(Clone, Debug)]
struct Read {
    view: usize,
    from: u8,
    to: u8,
    descending: bool,
    limit: usize,
    sequence: u64,
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
    /// Of an entry of the batch, counted round and round.
    Sequence(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    let guard = prop_oneof![
        1 => Just(GuardKind::Absent),
        4 => Just(GuardKind::AsItIs),
        1 => Just(GuardKind::Outdated),
    ];
    let edit = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20).prop_map(EditKind::Put),
        1 => (0..30_000_usize, any::<u8>()).prop_map(|(length, byte)| EditKind::Put(vec![byte; length])),
        2 => Just(EditKind::Delete),
        3 => prop_oneof![-3..4_i64, Just(i64::MAX), Just(i64::MIN)].prop_map(EditKind::Add),
        2 => any::<u8>().prop_map(EditKind::Sequence),
    ];
    let write = (
        prop::collection::vec((0..12_u8, guard), 0..3),
        prop::collection::vec((0..12_u8, edit), 0..8),
        prop_oneof![4 => 0..4_u8, 1 => 100..200_u8],
    )
        .prop_map(|(guards, edits, entries)| Write { guards, edits, entries });
    let read = (0..=VIEWS, 0..13_u8, 0..13_u8, any::<bool>(), 0..6_usize, 0..300_u64).prop_map(
        |(view, from, to, descending, limit, sequence)| Read {
            view,
            from,
            to,
            descending,
            limit,
            sequence,
        },
    );
    prop_oneof![
        8 => write.prop_map(Step::Apply),
        2 => Just(Step::Keep),
        4 => read.prop_map(Step::Read),
        1 => Just(Step::Compare),
        1 => Just(Step::Reopen),
    ]
}

fn key(number: u8) -> Key {
    // Different lengths, so that some keys begin with others.
    let text = "ش".repeat(usize::from(number / 2));
    Key::space(Space(0x10 + number % 2), OrgId::FIRST).text(&text).finish()
}

fn to_batch(write: &Write, model: &Model) -> Batch {
    let guards = write.guards.iter().map(|(number, kind)| {
        let key = key(*number);
        let version = model.rows.get(&key).map(|(version, _)| *version);
        match (kind, version) {
            (GuardKind::AsItIs, Some(version)) => Guard::At(key, version),
            (GuardKind::Outdated, version) => Guard::At(key, version.unwrap_or(1) + 1_000_000),
            (GuardKind::Absent | GuardKind::AsItIs, _) => Guard::Absent(key),
        }
    });
    let edits = write.edits.iter().map(|(number, kind)| match kind {
        EditKind::Put(value) => Edit::Put(key(*number), value.clone()),
        EditKind::Delete => Edit::Delete(key(*number)),
        EditKind::Add(amount) => Edit::Add(key(*number), *amount),
        EditKind::Sequence(entry) => match usize::from(*entry).checked_rem(usize::from(write.entries)) {
            Some(entry) => Edit::PutSequence(key(*number), entry),
            None => Edit::Delete(key(*number)),
        },
    });
    Batch {
        guards: guards.collect(),
        edits: edits.collect(),
        journal: (0..write.entries).map(|number| vec![number; 3]).collect(),
    }
}

/// A store under test, with what it should hold and the views that are kept.
struct Play {
    store: Arc<dyn Store>,
    disk: Option<Disk>,
    model: Model,
    kept: Vec<(Box<dyn View>, Model)>,
}

impl Play {
    fn new(engine: Engine) -> Self {
        let disk = Disk::default();
        let (store, disk): (Arc<dyn Store>, _) = match engine {
            Engine::Memory => (Arc::new(MemoryStore::new()), None),
            Engine::Redb => (Arc::new(open(&disk).unwrap()), Some(disk)),
        };
        Self {
            store,
            disk,
            model: Model::default(),
            kept: Vec::new(),
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Apply(write) => self.apply(write).await,
            Step::Keep => {
                if self.kept.len() == VIEWS {
                    self.kept.remove(0);
                }
                self.kept.push((self.store.view().await.unwrap(), self.model.clone()));
                Ok(())
            }
            Step::Read(part) => match self.kept.get(part.view) {
                Some((view, model)) => read(&**view, model, part).await,
                None => read(&*self.store.view().await.unwrap(), &self.model, part).await,
            },
            Step::Compare => {
                for (view, model) in &self.kept {
                    prop_assert_eq!(&contents(&**view).await.unwrap(), model);
                }
                Ok(())
            }
            Step::Reopen => {
                if let Some(disk) = &self.disk {
                    self.kept.clear();
                    self.store.close().await.unwrap();
                    self.store = Arc::new(open(disk).unwrap());
                }
                Ok(())
            }
        }
    }

    async fn apply(&mut self, write: &Write) -> Result<(), TestCaseError> {
        let batch = to_batch(write, &self.model);
        let outcome = self.store.apply(batch.clone()).await;
        match self.model.apply(&batch) {
            Ok(wanted) => prop_assert_eq!(outcome, Ok(wanted)),
            Err(wanted) => match outcome {
                Err(ApplyError::Stale(found) | ApplyError::Invalid { key: found, .. }) => {
                    prop_assert_eq!(found, wanted);
                }
                other => prop_assert!(false, "{other:?} instead of a refusal of {wanted}"),
            },
        }
        let view = self.store.view().await.unwrap();
        prop_assert_eq!(contents(&*view).await.unwrap(), self.model.clone());
        Ok(())
    }
}

/// One page of rows, the pages after it, several rows at once, and part of the journal.
async fn read(view: &dyn View, model: &Model, part: &Read) -> Result<(), TestCaseError> {
    let order = if part.descending {
        Order::Descending
    } else {
        Order::Ascending
    };
    let (from, to) = (key(part.from), key(part.to));
    let mut wanted: Vec<_> = model
        .rows
        .iter()
        .filter(|(key, _)| **key >= from && **key < to)
        .collect();
    if part.descending {
        wanted.reverse();
    }
    let mut found = Vec::new();
    let mut next = Some(KeyRange::between(from, to));
    while let Some(range) = next {
        let page = view.scan(range, order, part.limit).await.unwrap();
        prop_assert!(page.rows.len() <= part.limit.max(1));
        prop_assert!(page.next.is_none() || !page.rows.is_empty(), "a scan stands still");
        found.extend(page.rows);
        next = page.next;
    }
    prop_assert_eq!(found.len(), wanted.len());
    for (row, (key, (version, value))) in found.iter().zip(wanted) {
        prop_assert!(row.key == *key && row.value.version == *version && *row.value.bytes == **value);
    }

    let keys: Vec<_> = (0..12).map(key).collect();
    for (key, row) in keys.iter().zip(view.get_many(&keys).await.unwrap()) {
        let found = row.map(|row| (row.version, row.bytes.into()));
        prop_assert_eq!(found.as_ref(), model.rows.get(key));
    }

    let start = usize::try_from(part.sequence).unwrap();
    let entries = view.journal(part.sequence, part.limit).await.unwrap();
    let rest = model.journal.get(start..).unwrap_or_default();
    prop_assert_eq!(entries.len(), rest.len().min(part.limit.max(1)));
    for (number, (entry, wanted)) in entries.iter().zip(rest).enumerate() {
        prop_assert!(entry.sequence == part.sequence + number as u64 && *entry.bytes == **wanted);
    }
    Ok(())
}

fn run(engine: Engine, name: &str, cases: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let steps_done = AtomicU64::new(0);
    let cases = u32::try_from(rounds(cases)).unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        // A failing history is printed at its smallest; there is no file to keep it in.
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&prop::collection::vec(any_step(), 1..40), |steps| {
            steps_done.fetch_add(steps.len() as u64, Ordering::Relaxed);
            runtime.block_on(async {
                let mut play = Play::new(engine);
                for step in &steps {
                    play.step(step).await?;
                }
                play.step(&Step::Compare).await
            })
        })
        .unwrap();
    let steps = steps_done.load(Ordering::Relaxed);
    summary(
        name,
        &[("histories", u64::from(cases)), ("steps", steps), ("differences", 0)],
    );
}

#[test]
fn histories_in_memory_equal_a_plain_map() {
    run(
        Engine::Memory,
        "store, random histories against a plain map, memory",
        150,
    );
}

#[test]
fn histories_in_redb_equal_a_plain_map() {
    run(Engine::Redb, "store, random histories against a plain map, redb", 60);
}
