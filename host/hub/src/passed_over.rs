//! Damaged rows that are passed over, so that one of them costs only itself: each is told once, counted, and named by
//! readiness for as long as the hub runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mihwar_store::Key;

/// Rows that are remembered. Beyond that it is no matter of single ones: the disk fails, and each is told whenever it is met.
const ROWS_MAX: usize = 1_024;
/// Rows that readiness names.
const NAMED_MAX: usize = 3;

/// The damaged rows that were met since the start. In memory only: `mihwar ledger verify` finds those that are there still.
#[derive(Debug, Default)]
pub(crate) struct PassedOver(Mutex<BTreeMap<Key, &'static str>>);

impl PassedOver {
    /// Notes that a row was met that cannot be read: `what` lies there.
    pub(crate) fn note(&self, row: &Key, what: &'static str, detail: &str) {
        let mut rows = self.rows();
        if rows.contains_key(row) {
            return;
        }
        if rows.len() < ROWS_MAX {
            rows.insert(row.clone(), what);
        }
        drop(rows);
        metrics::counter!("mihwar_damaged_rows_total").increment(1);
        tracing::error!(%row, "{what} is damaged and passed over; all else goes on: {detail}; run: mihwar ledger verify");
    }

    /// Whether a row is known to be passed over.
    pub(crate) fn holds(&self, row: &Key) -> bool {
        self.rows().contains_key(row)
    }

    /// How many there are, and which, for who looks after the hub; nothing when there is none.
    pub(crate) fn told(&self) -> Option<String> {
        let rows = self.rows();
        if rows.is_empty() {
            return None;
        }
        let named = rows.iter().take(NAMED_MAX).map(|(row, what)| format!("{what} ({row})"));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match rows.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let count = rows.len();
        Some(format!(
            "{count} damaged since the start, and passed over: {named}{more}; run: mihwar ledger verify"
        ))
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Key, &'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{PassedOver, ROWS_MAX};
    use crate::keys;

    #[test]
    fn rows_are_counted_once_and_the_first_are_named() {
        let passed_over = PassedOver::default();
        assert_eq!(passed_over.told(), None);
        let row = keys::checkpoint;
        for number in [1, 2, 2, 3, 4, 5] {
            passed_over.note(&row(number), "صف", "تالف");
        }
        let told = passed_over.told().unwrap();
        assert!(
            told.starts_with("5 damaged") && told.contains("and 2 more") && told.contains(&row(1).to_string()),
            "{told}"
        );
        assert!(passed_over.holds(&row(5)) && !passed_over.holds(&row(6)));
    }

    #[test]
    fn memory_does_not_grow_with_a_disk_that_fails() {
        let passed_over = PassedOver::default();
        for number in 0..=ROWS_MAX as u64 {
            passed_over.note(&keys::checkpoint(number), "صف", "تالف");
        }
        assert!(!passed_over.holds(&keys::checkpoint(ROWS_MAX as u64)));
    }
}
