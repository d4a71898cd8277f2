//! The pipeline's queue: what was received and not routed, and nothing else.

use mihwar_store::{Key, Order, Row};

use super::Verification;
use super::contents::CONTENTS_AT_ONCE;
use super::open::{Open, Revision};
use crate::fault::Fault;
use crate::keys;
use crate::pipeline;

/// What can be done about a record that nobody was given.
const BY_HAND: &str = "hand it to its department yourself, or let its source send it as a new revision";

impl Verification<'_> {
    /// The queue must be what was received and not routed; what lost its content meanwhile may be in it or not. What left it
    /// because it could not be read must not be readable.
    pub(super) async fn queue(&mut self, open: &mut Open) -> Result<(), Fault> {
        let mut rest = Some(keys::all(keys::QUEUE));
        while let Some(range) = rest {
            let page = self.view.scan(range, Order::Ascending, CONTENTS_AT_ONCE).await?;
            let told = pipeline::entries_of(&*self.view, &page.rows).await?;
            for (row, told) in page.rows.iter().zip(&told) {
                let damage = told.as_ref().err().map(String::as_str);
                self.queued(row, damage, open);
            }
            rest = page.next;
        }
        let unread = open.unread.iter().filter(|(_, opens)| **opens);
        for ((id, revision), _) in unread {
            self.report.find(format!(
                "{id} (revision {revision}) could not be read when it was to be routed, and can be read now, but was given \
                 to nobody; {BY_HAND}"
            ));
        }
        let missing: Vec<Revision> = open.unrouted.keys().copied().collect();
        for chunk in missing.chunks(CONTENTS_AT_ONCE) {
            let places: Vec<Key> = chunk
                .iter()
                .map(|(id, revision)| keys::content(*id, *revision))
                .collect();
            let rows = self.view.get_many(&places).await?;
            for ((id, revision), row) in chunk.iter().zip(rows) {
                if row.is_some() {
                    self.report.find(format!(
                        "{id} (revision {revision}) was received, but neither routed nor does it wait to be"
                    ));
                }
            }
        }
        Ok(())
    }

    /// One entry, and why it cannot be told what it stands for, if it cannot.
    fn queued(&mut self, row: &Row, damage: Option<&str>, open: &mut Open) {
        let Some(revision) = keys::queued(&row.key).filter(|revision| open.waits(*revision)) else {
            self.report.find(format!(
                "something waits to be routed that the ledger does not know ({})",
                row.key
            ));
            return;
        };
        // Of what was withdrawn nothing is routed any more, whatever stands in its entry.
        let is_wanted = open.unrouted.remove(&revision).is_some() | open.unread.remove(&revision).is_some();
        if is_wanted && let Some(detail) = damage {
            let (id, number) = revision;
            self.report.find(format!(
                "the entry by which {id} (revision {number}) waits to be routed is damaged, and it is given to nobody: \
                 {detail}; {BY_HAND}"
            ));
        }
    }
}
