//! How far the story of the items is when a batch is handed over.

use super::System;
use super::batch::{ITEMS, Parcel, What, new_items, parcel};
use super::bench::Bench;

/// What stands behind a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// New items, for the first time.
    New,
    /// New items whose first attempt did nothing.
    Retried,
    /// Items that are there already, of which the hub knows nothing: it stopped before it could write the answers down.
    Repeated,
    /// New versions.
    Updated,
    /// Items that are to be erased.
    Erased,
    /// The same, of which the hub knows no reference.
    ErasedUnknown,
}

impl Stage {
    pub(super) const ALL: [Self; 6] = [
        Self::New,
        Self::Retried,
        Self::Repeated,
        Self::Updated,
        Self::Erased,
        Self::ErasedUnknown,
    ];

    /// For people.
    pub(super) const fn described(self) -> &'static str {
        match self {
            Self::New => "3 new items are handed over",
            Self::Retried => "3 new items are handed over for the second time; the first attempt did nothing",
            Self::Repeated => {
                "3 items are handed over once more, as at first: they were delivered, and the hub stopped before it had written \
                 the references and the state down"
            }
            Self::Updated => "3 delivered items have a new version",
            Self::Erased => "3 delivered items are erased",
            Self::ErasedUnknown => {
                "3 items are erased that were delivered, and the hub stopped before it had written their references down"
            }
        }
    }

    pub(super) const fn is_erasure(self) -> bool {
        matches!(self, Self::Erased | Self::ErasedUnknown)
    }

    /// Whether an item may be gone there by itself.
    pub(super) const fn is_about_known_items(self) -> bool {
        matches!(self, Self::Updated | Self::Erased | Self::ErasedUnknown)
    }

    /// Plays what stands behind the batch, and makes it.
    pub(super) fn set<S: System>(self, bench: &mut Bench<'_, S>) -> Vec<Parcel> {
        let first = new_items(ITEMS, 1);
        if !matches!(self, Self::New | Self::Retried) {
            bench.call(&first, None);
            // Whoever takes its own clock for something is seen to.
            bench.pass(3_600_000);
        }
        if matches!(self, Self::Repeated | Self::ErasedUnknown) {
            bench.forget();
        }
        match self {
            Self::New | Self::Repeated => first,
            Self::Retried => new_items(ITEMS, 2),
            Self::Updated => of_all(bench, &first, What::Updated),
            Self::Erased | Self::ErasedUnknown => of_all(bench, &first, What::Erased),
        }
    }
}

/// What follows for items that were delivered.
fn of_all<S: System>(bench: &Bench<'_, S>, first: &[Parcel], what: What) -> Vec<Parcel> {
    let numbered = (1..).zip(first);
    numbered
        .map(|(number, first)| parcel(number, what, 1, bench.references.get(&first.handed.item)))
        .collect()
}
