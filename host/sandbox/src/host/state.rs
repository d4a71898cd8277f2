//! `state`: the durable store seen through this call's own writes.

use std::collections::VecDeque;
use std::ops::Bound::{Excluded, Included, Unbounded};

use crate::contract::state::{Entry, Host, Page, StateError};
use crate::host::CallState;
use crate::limits::{STATE_KEY_BYTES, STATE_KEYS_WRITTEN, STATE_VALUE_BYTES};

/// Most entries of one page.
const PAGE: usize = 1000;

#[expect(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn storage(error: crate::call::SourceError) -> StateError {
    StateError::Storage(error.to_string())
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Host for CallState {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, StateError> {
        check_key(&key)?;
        self.current(&key).await
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        check_key(&key)?;
        if length(value.len()) > STATE_VALUE_BYTES {
            return Err(StateError::ValueTooLarge(STATE_VALUE_BYTES));
        }
        self.check_written(&key)?;
        let before = taken(&key, self.current(&key).await?.as_deref());
        let after = taken(&key, Some(&value));
        let used = (self.used().await?.saturating_sub(before)).saturating_add(after);
        let quota = self.bound.limits.state;
        // Growth is refused over the quota; shrinking always works.
        if used > quota && after > before {
            return Err(StateError::QuotaExceeded(quota));
        }
        self.state_used = Some(used);
        self.writes.insert(key, Some(value));
        Ok(())
    }

    async fn delete(&mut self, key: String) -> Result<(), StateError> {
        check_key(&key)?;
        let stored = self.stored(&key).await?;
        let current = self.writes.get(&key).unwrap_or(&stored);
        let before = taken(&key, current.as_deref());
        let used = self.used().await?.saturating_sub(before);
        if stored.is_some() {
            self.check_written(&key)?;
            self.writes.insert(key, None);
        } else {
            // There is nothing to delete; a note of it would only take memory.
            self.writes.remove(&key);
        }
        self.state_used = Some(used);
        Ok(())
    }

    async fn scan(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Page, StateError> {
        check_key(&prefix)?;
        let limit = usize::try_from(limit).unwrap_or(PAGE).clamp(1, PAGE);
        let mut entries = Vec::new();
        let mut merge = Merge::new(self, &prefix, after);
        while entries.len() < limit {
            match merge.next().await? {
                Some(entry) => entries.push(entry),
                None => {
                    return Ok(Page { entries, next: None });
                }
            }
        }
        let next = match merge.next().await? {
            Some(_) => entries.last().map(|entry| entry.key.clone()),
            None => None,
        };
        Ok(Page { entries, next })
    }
}

impl CallState {
    /// The value of a key as this call sees it.
    async fn current(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.stored(key).await,
        }
    }

    /// The value of a key as it was before the call.
    async fn stored(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.call.state.get(key).await.map_err(storage)
    }

    /// Writes stay in memory until the call ends, so that their number is bounded besides their bytes.
    fn check_written(&self, key: &str) -> Result<(), StateError> {
        if self.writes.len() >= STATE_KEYS_WRITTEN && !self.writes.contains_key(key) {
            return Err(StateError::QuotaExceeded(length(STATE_KEYS_WRITTEN)));
        }
        Ok(())
    }

    async fn used(&self) -> Result<u64, StateError> {
        match self.state_used {
            Some(used) => Ok(used),
            None => self.call.state.used().await.map_err(storage),
        }
    }
}

/// Bytes of the quota that an entry takes.
fn taken(key: &str, value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| length(key.len()) + length(value.len()))
}

fn check_key(key: &str) -> Result<(), StateError> {
    if key.len() > STATE_KEY_BYTES {
        Err(StateError::KeyTooLong)
    } else {
        Ok(())
    }
}

/// Walks stored entries and this call's writes together, in key order.
struct Merge<'a> {
    state: &'a CallState,
    prefix: &'a str,
    stored: VecDeque<(String, Vec<u8>)>,
    /// Where the next page of stored entries begins; `None` when there is none.
    stored_after: Option<Option<String>>,
    /// The last key that was handed out or skipped.
    at: Option<String>,
}

impl<'a> Merge<'a> {
    fn new(state: &'a CallState, prefix: &'a str, after: Option<String>) -> Self {
        Self {
            state,
            prefix,
            stored: VecDeque::new(),
            stored_after: Some(after.clone()),
            at: after,
        }
    }

    async fn next(&mut self) -> Result<Option<Entry>, StateError> {
        loop {
            self.refill().await?;
            let from = self.at.as_deref().map_or(Included(self.prefix), Excluded);
            let written = self
                .state
                .writes
                .range::<str, _>((from, Unbounded))
                .find(|(key, _)| key.as_str() >= self.prefix)
                .filter(|(key, _)| key.starts_with(self.prefix));
            let stored_first = match (&written, self.stored.front()) {
                (None, None) => return Ok(None),
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (Some((written, _)), Some((stored, _))) => stored < *written,
            };
            if stored_first {
                let Some((key, value)) = self.stored.pop_front() else {
                    continue;
                };
                self.at = Some(key.clone());
                return Ok(Some(Entry { key, value }));
            }
            let Some((key, value)) = written else {
                continue;
            };
            if self.stored.front().is_some_and(|(stored, _)| stored == key) {
                self.stored.pop_front();
            }
            self.at = Some(key.clone());
            if let Some(value) = value {
                return Ok(Some(Entry {
                    key: key.clone(),
                    value: value.clone(),
                }));
            }
        }
    }

    async fn refill(&mut self) -> Result<(), StateError> {
        if !self.stored.is_empty() {
            return Ok(());
        }
        let Some(after) = self.stored_after.take() else {
            return Ok(());
        };
        let page = self
            .state
            .call
            .state
            .scan(self.prefix, after.as_deref(), PAGE)
            .await
            .map_err(storage)?;
        if page.len() >= PAGE {
            self.stored_after = page.last().map(|(key, _)| Some(key.clone()));
        }
        self.stored = page.into();
        Ok(())
    }
}
