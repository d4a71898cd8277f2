//! Cutting answers to size, the same way for every engine.

use crate::{JournalEntry, KeyRange, MAX_PAGE_BYTES, MAX_PAGE_ROWS, Order, Page, Row, StoreError};

/// Takes rows of `range`, in `order`, until the page is full.
pub(crate) fn fill(
    range: KeyRange,
    order: Order,
    limit: usize,
    rows: impl Iterator<Item = Result<Row, StoreError>>,
) -> Result<Page, StoreError> {
    let mut budget = Budget::new(limit);
    let mut page = Page {
        rows: Vec::new(),
        next: None,
    };
    for row in rows {
        let row = row?;
        if !budget.take(row.key.as_bytes().len() + row.value.bytes.len()) {
            page.next = page.rows.last().map(|last| match order {
                Order::Ascending => range.after(&last.key),
                Order::Descending => range.before(&last.key),
            });
            break;
        }
        page.rows.push(row);
    }
    Ok(page)
}

/// Takes journal entries until the answer is full.
pub(crate) fn fill_journal(
    limit: usize,
    entries: impl Iterator<Item = Result<JournalEntry, StoreError>>,
) -> Result<Vec<JournalEntry>, StoreError> {
    let mut budget = Budget::new(limit);
    let mut taken = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !budget.take(entry.bytes.len()) {
            break;
        }
        taken.push(entry);
    }
    Ok(taken)
}

/// How much more fits an answer. The first item always does, so that no scan stands still.
struct Budget {
    items: usize,
    bytes: usize,
    limit: usize,
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self {
            items: 0,
            bytes: 0,
            limit: limit.clamp(1, MAX_PAGE_ROWS),
        }
    }

    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.items < self.limit && self.bytes + bytes <= MAX_PAGE_BYTES;
        if fits || self.items == 0 {
            self.items += 1;
            self.bytes += bytes;
            return true;
        }
        false
    }
}
