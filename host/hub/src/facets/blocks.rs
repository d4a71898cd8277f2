//! The blocks that a fold looks into and changes.

use std::collections::BTreeMap;

use mihwar_model::FeedbackId;
use mihwar_store::{Edit, Order, View};

use super::block::{Block, Insertion};
use super::{Code, Id, anew};
use crate::fault::{Fault, OnDamage};
use crate::keys;

/// Where the first block begins: every id has a block.
const LOWEST: Id = [0; 16];

/// Some blocks, by the lowest id that each may hold; it holds those below the next block.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    by_first: BTreeMap<Id, Kept>,
    /// Blocks that were not there before.
    opened: u64,
}

#[derive(Debug)]
struct Kept {
    block: Block,
    has_changed: bool,
}

impl Kept {
    const fn as_it_is(block: Block) -> Self {
        let has_changed = false;
        Self { block, has_changed }
    }
}

impl Blocks {
    /// Gets the blocks of these records: from `recent`, where the fold before this one changed them, or from the view. One
    /// whose row is damaged is made anew, where damage is passed over.
    pub(crate) async fn load(
        view: &dyn View,
        recent: &Self,
        on_damage: OnDamage,
        mut records: Vec<FeedbackId>,
    ) -> Result<Self, Fault> {
        let mut blocks = Self::default();
        // The block that was found last; no block begins between that and the record that it was found for.
        let mut last: Option<Id> = None;
        records.sort_unstable();
        for id in records.into_iter().rev().map(FeedbackId::to_bytes) {
            if last.is_some_and(|last| last <= id) {
                continue;
            }
            let rows = view.scan(keys::facets_up_to(id), Order::Descending, 1).await?.rows;
            let stored = rows.first().and_then(|row| Some((keys::last_id(&row.key)?, row)));
            let (first, kept) = match (stored, recent.at(id)) {
                (stored, Some((first, kept))) if stored.is_none_or(|(stored, _)| stored <= *first) => {
                    (*first, Kept::as_it_is(kept.block.clone()))
                }
                (Some((first, row)), _) => {
                    let kept = match Block::decode(&row.value.bytes) {
                        Err(error) if on_damage == OnDamage::PassOver => Kept {
                            block: anew::block(view, first, error).await?,
                            has_changed: true,
                        },
                        block => Kept::as_it_is(block?),
                    };
                    (first, kept)
                }
                // None for any lower id either.
                (None, _) => break,
            };
            blocks.by_first.insert(first, kept);
            last = Some(first);
        }
        Ok(blocks)
    }

    /// The block that an id belongs to, if it is among these.
    fn at(&self, id: Id) -> Option<(&Id, &Kept)> {
        self.by_first.range(..=id).next_back()
    }

    fn at_mut(&mut self, id: Id) -> Option<&mut Kept> {
        self.by_first.range_mut(..=id).next_back().map(|(_, kept)| kept)
    }

    /// Makes a place for a record, if it has none. Its block must be among those that were loaded.
    pub(crate) fn insert(&mut self, record: FeedbackId) {
        let id = record.to_bytes();
        let Some(kept) = self.at_mut(id) else {
            return self.open(LOWEST, Block::of(id));
        };
        match kept.block.insert(id) {
            Insertion::Known => {}
            Insertion::Here => kept.has_changed = true,
            Insertion::Beside(first, block) => self.open(first, block),
            Insertion::Split(first, block) => {
                kept.has_changed = true;
                self.open(first, block);
            }
        }
    }

    fn open(&mut self, first: Id, block: Block) {
        self.opened += 1;
        let has_changed = true;
        self.by_first.insert(first, Kept { block, has_changed });
    }

    /// Gives a record that has a place in one of these blocks its codes, which ascend.
    pub(crate) fn set(&mut self, record: FeedbackId, codes: &[Code]) {
        let id = record.to_bytes();
        if let Some(kept) = self.at_mut(id) {
            kept.has_changed |= kept.block.set(id, codes);
        }
    }

    /// Blocks that were not there before.
    pub(crate) const fn opened(&self) -> u64 {
        self.opened
    }

    /// The rows of the blocks that changed; the others are forgotten.
    pub(crate) fn write(&mut self, edits: &mut Vec<Edit>) {
        self.by_first.retain(|_, kept| kept.has_changed);
        let rows = self.by_first.iter();
        edits.extend(rows.map(|(first, kept)| Edit::Put(keys::facets(*first), kept.block.encode())));
    }
}
