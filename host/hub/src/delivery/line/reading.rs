//! What a line reads of its outbox: rows in their order, and those that it was told of.

use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{DeliveryId, InstanceName, Time};
use mihwar_store::{Key, KeyRange, Order};

use super::super::window::{Page, Wanted};
use super::super::{damaged, outbox};
use super::{Line, boundary};
use crate::fault::Fault;
use crate::keys;

/// Pages that are read before something is handed over.
const PAGES_AT_ONCE: usize = 4;

impl Line<'_> {
    /// Takes what it was told since it looked last.
    pub(super) async fn read_mail(&mut self) -> Result<(), Fault> {
        let mail = self.outbox.take_mail();
        let now = self.core.clock.now();
        // Without a window all of it is read anew.
        let Some(window) = &mut self.window else {
            return Ok(());
        };
        if mail.is_backlog {
            window.begin_catch_up(boundary(now));
        }
        if mail.is_more {
            window.rewind();
        }
        if let Some(lowest) = mail.ahead {
            window.came_ahead(lowest);
        }
        if !mail.is_more && !mail.behind.is_empty() {
            let looked_at = self.look_at(&mail.behind).await;
            if looked_at.is_err() {
                self.outbox.missed();
            }
            return looked_at;
        }
        Ok(())
    }

    /// Reads so much that `ready` deliveries can be picked, or a part of that.
    pub(super) async fn load(&mut self, ready: usize, now: Time, longest: Duration) -> Result<(), Fault> {
        let Some(window) = &mut self.window else {
            return Ok(());
        };
        window.look(now, longest);
        let mut view = None;
        let mut damaged = Vec::new();
        for _ in 0..PAGES_AT_ONCE {
            let Some(wanted) = window.wants(ready, self.survey.is_some()) else {
                if self.survey.is_none() && window.needs_survey() {
                    self.survey = Arc::clone(&self.core.outboxes.surveys).try_acquire_owned().ok();
                }
                if self.survey.is_some() && window.needs_survey() {
                    continue;
                }
                break;
            };
            if view.is_none() {
                view = Some(self.core.store.view().await?);
            }
            let Some(view) = &view else {
                break;
            };
            self.seen = self.seen.max(view.tree().size());
            let page = view
                .scan(range(&self.name, &wanted), Order::Ascending, wanted.rows)
                .await?;
            let page = Page {
                entries: outbox::entries(&page.rows, &self.core.passed_over, &mut damaged),
                reached: page
                    .rows
                    .last()
                    .and_then(|row| keys::last_id(&row.key))
                    .map(DeliveryId::from_bytes),
                is_end: page.next.is_none(),
            };
            window.took(&wanted, &page);
        }
        self.outbox.reached(window.ahead());
        if !window.has_survey() {
            self.survey = None;
        }
        drop(view);
        if !damaged.is_empty() {
            let set_aside = damaged::set_aside(self.core, &self.name, damaged).await;
            if set_aside.is_err() {
                self.outbox.missed();
            }
            set_aside?;
        }
        Ok(())
    }

    /// Takes the rows of those that were written among what is known.
    async fn look_at(&mut self, ids: &[DeliveryId]) -> Result<(), Fault> {
        let places: Vec<Key> = ids.iter().map(|id| keys::outbox(&self.name, *id)).collect();
        let view = self.core.store.view().await?;
        self.seen = self.seen.max(view.tree().size());
        let rows = view.get_many(&places).await?;
        drop(view);
        let Some(window) = &mut self.window else {
            return Ok(());
        };
        for (id, row) in ids.iter().zip(rows) {
            // A damaged one is met again when it is read in its order.
            if let Some(Ok(entry)) = row.map(|row| outbox::entry(*id, &row)) {
                window.came(entry);
            }
        }
        Ok(())
    }
}

/// Where the rows lie that are wanted.
fn range(name: &InstanceName, wanted: &Wanted) -> KeyRange {
    let mut range = keys::outbox_of(name);
    if let Some(after) = wanted.after {
        range = range.after(&keys::outbox(name, after));
    }
    if let Some(before) = wanted.before {
        range = range.before(&keys::outbox(name, before));
    }
    range
}
