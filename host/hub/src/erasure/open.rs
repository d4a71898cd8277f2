//! Deliveries that wait, and dead letters, by the record that they are of.

use std::collections::HashMap;

use mihwar_model::{DeliveryId, FeedbackId, InstanceName};
use mihwar_store::{Key, Order, Row, View};

use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, DeadRow, OutboxRow};

/// Rows read in one go.
const PAGE: usize = 5_000;

/// A delivery without an end, as its row says.
pub(super) struct OpenDelivery {
    pub(super) place: Key,
    pub(super) version: u64,
    pub(super) delivery: DeliveryId,
    pub(super) destination: InstanceName,
    pub(super) entry: OutboxRow,
}

/// Deliveries of some records that have no end yet. Those that tell of an erasure are not among them.
pub(super) struct Open(HashMap<FeedbackId, Vec<OpenDelivery>>);

impl Open {
    /// Looks through all that wait: departments that are down are few, and who erases looks once for all records.
    pub(super) async fn read(view: &dyn View, wanted: impl Fn(&OutboxRow) -> bool) -> Result<Self, Fault> {
        let mut open: HashMap<FeedbackId, Vec<OpenDelivery>> = HashMap::new();
        for space in [keys::OUTBOX, keys::DEAD] {
            let mut range = Some(keys::all(space));
            while let Some(next) = range {
                let page = view.scan(next, Order::Ascending, PAGE).await?;
                for row in page.rows {
                    let entry = if space == keys::OUTBOX {
                        rows::decode::<OutboxRow>("an outbox row", &row.value.bytes)
                    } else {
                        rows::decode::<DeadRow>("a dead letter", &row.value.bytes).map(|dead| dead.entry)
                    };
                    match entry {
                        Ok(entry) if entry.erased.is_none() && wanted(&entry) => {
                            if let Some(found) = OpenDelivery::of(row, entry) {
                                open.entry(found.entry.feedback).or_default().push(found);
                            }
                        }
                        Ok(_) => {}
                        // Nobody can tell any more whose it is.
                        Err(error) => tracing::error!(row = %row.key, "passed over by an erasure: {error}"),
                    }
                }
                range = page.next;
            }
        }
        Ok(Self(open))
    }

    /// Those of one record.
    pub(super) fn of(&self, feedback: FeedbackId) -> &[OpenDelivery] {
        self.0.get(&feedback).map(Vec::as_slice).unwrap_or_default()
    }
}

impl OpenDelivery {
    fn of(row: Row, entry: OutboxRow) -> Option<Self> {
        Some(Self {
            delivery: DeliveryId::from_bytes(keys::last_id(&row.key)?),
            destination: keys::dead_destination(&row.key)?,
            place: row.key,
            version: row.value.version,
            entry,
        })
    }

    /// Whether it shows that its department never had the record: deliveries of a record to one department are made in
    /// their order, and this is the first. One from before the store was opened shows nothing: the process that ended may
    /// have handed it over and not come to write that down.
    pub(super) fn was_never_tried(&self, opened_at: u64) -> bool {
        self.version > opened_at && self.entry.attempts == 0 && self.entry.revision == 1
    }
}
