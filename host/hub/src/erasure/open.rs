//! Deliveries that wait, and dead letters, by the record that they are of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mihwar_model::{DeliveryId, Event, EventBody, FeedbackId, InstanceName, Time};
use mihwar_store::{Key, Order, Row, Space, View};

use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, DeadRow, OutboxRow};

/// Rows read in one go.
const PAGE: usize = 5_000;
/// Deliveries of which it is kept in memory where they wait: some 30 MB. Few in tests, so that a short run goes over it.
const KEPT_MAX: usize = if cfg!(test) { 16 } else { 200_000 };

/// A delivery without an end, as its row says.
pub(super) struct OpenDelivery {
    pub(super) place: Key,
    pub(super) version: u64,
    pub(super) delivery: DeliveryId,
    pub(super) destination: InstanceName,
    pub(super) entry: OutboxRow,
}

/// Deliveries of some records that have no end yet. Those that tell of an erasure are not among them.
#[derive(Default)]
pub(super) struct Open(HashMap<FeedbackId, Vec<OpenDelivery>>);

impl Open {
    /// Looks through all that wait: departments that are down are few, and who erases looks once for all records.
    pub(super) async fn read(view: &dyn View, wanted: impl Fn(&OutboxRow) -> bool) -> Result<Self, Fault> {
        let mut open = Self::default();
        look_through(view, |found| {
            if wanted(&found.entry) {
                open.add(found);
            }
        })
        .await?;
        Ok(open)
    }

    fn add(&mut self, found: OpenDelivery) {
        self.0.entry(found.entry.feedback).or_default().push(found);
    }

    /// Those of one record.
    pub(super) fn of(&self, feedback: FeedbackId) -> &[OpenDelivery] {
        self.0.get(&feedback).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Where deliveries without an end may lie: for whoever asks for those of some records again and again, in the order of their
/// ids. All that wait are looked through when they are asked for first; from then on the ledger tells which were added. They
/// are looked through again only where there were too many to keep.
pub(super) struct Waiting {
    /// Only records that were made before this are asked for.
    before: Time,
    /// So many entries of the ledger are known; nothing before the first look.
    until: Option<u64>,
    /// The first record of which deliveries are kept.
    from: FeedbackId,
    /// The first behind it of which not all are: there were too many. None when there is no such record.
    end: Option<FeedbackId>,
    by_record: BTreeMap<FeedbackId, Vec<(InstanceName, DeliveryId)>>,
    /// How many deliveries these are.
    kept: usize,
}

impl Waiting {
    pub(super) fn of_records_before(before: Time) -> Self {
        Self {
            before,
            until: None,
            from: FeedbackId::from_bytes([0; 16]),
            end: None,
            by_record: BTreeMap::new(),
            kept: 0,
        }
    }

    /// The deliveries of these records as the view shows them. No view may be older than that of the question before.
    pub(super) async fn open(&mut self, view: &dyn View, records: &BTreeSet<FeedbackId>) -> Result<Open, Fault> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Ok(Open::default());
        };
        match self.until {
            Some(until) if self.covers(*first, *last) => self.follow(view, until).await?,
            _ => self.look(view, *first).await?,
        }
        self.until = Some(view.tree().size());
        if !self.covers(*first, *last) {
            // These alone have more than are kept.
            return Open::read(view, |entry| records.contains(&entry.feedback)).await;
        }
        let known = records.iter().filter_map(|record| self.by_record.get(record)).flatten();
        // A dead letter that is sent again goes from one place to the other.
        let places = known.flat_map(|(to, delivery)| [keys::outbox(to, *delivery), keys::dead(to, *delivery)]);
        let places: Vec<Key> = places.collect();
        let rows = view.get_many(&places).await?;
        let mut open = Open::default();
        for ((place, space), row) in places
            .into_iter()
            .zip([keys::OUTBOX, keys::DEAD].into_iter().cycle())
            .zip(rows)
        {
            let row = row.map(|value| Row { key: place, value });
            if let Some(found) = row.and_then(|row| read(space, row)) {
                open.add(found);
            }
        }
        Ok(open)
    }

    fn covers(&self, first: FeedbackId, last: FeedbackId) -> bool {
        self.from <= first && self.end.is_none_or(|end| last < end)
    }

    /// Looks through all that wait for deliveries of this record and of those behind it.
    async fn look(&mut self, view: &dyn View, from: FeedbackId) -> Result<(), Fault> {
        self.by_record.clear();
        (self.from, self.end, self.kept) = (from, None, 0);
        look_through(view, |found| {
            self.note(found.entry.feedback, found.destination, found.delivery);
        })
        .await
    }

    fn note(&mut self, feedback: FeedbackId, destination: InstanceName, delivery: DeliveryId) {
        let is_within = self.from <= feedback && self.end.is_none_or(|end| feedback < end);
        if !is_within || feedback.made_at() >= self.before {
            return;
        }
        self.by_record
            .entry(feedback)
            .or_default()
            .push((destination, delivery));
        self.kept += 1;
        // Those that are asked for last are given up first.
        while self.kept > KEPT_MAX
            && let Some((last, deliveries)) = self.by_record.pop_last()
        {
            self.kept -= deliveries.len();
            self.end = Some(last);
        }
    }

    /// Reads what the ledger tells since.
    async fn follow(&mut self, view: &dyn View, until: u64) -> Result<(), Fault> {
        let (mut next, size) = (until, view.tree().size());
        while next < size {
            let entries = view.journal(next, PAGE).await?;
            if entries.is_empty() {
                return Ok(());
            }
            next += entries.len() as u64;
            for entry in entries {
                match Event::from_bytes(&entry.bytes).map(|event| event.body) {
                    Ok(EventBody::Routed(routed)) => {
                        for route in routed.routes {
                            self.note(routed.feedback, route.destination, route.delivery);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(sequence = entry.sequence, "passed over by an erasure: {error}");
                    }
                }
            }
        }
        Ok(())
    }
}

/// Tells of every delivery that waits, and of every dead letter. Those that tell of an erasure are not among them.
async fn look_through(view: &dyn View, mut found: impl FnMut(OpenDelivery)) -> Result<(), Fault> {
    for space in [keys::OUTBOX, keys::DEAD] {
        let mut range = Some(keys::all(space));
        while let Some(next) = range {
            let page = view.scan(next, Order::Ascending, PAGE).await?;
            page.rows
                .into_iter()
                .filter_map(|row| read(space, row))
                .for_each(&mut found);
            range = page.next;
        }
    }
    Ok(())
}

/// A delivery's row in one of the two spaces; nothing where it tells of an erasure, or is damaged.
fn read(space: Space, row: Row) -> Option<OpenDelivery> {
    let entry = if space == keys::OUTBOX {
        rows::decode::<OutboxRow>("an outbox row", &row.value.bytes)
    } else {
        rows::decode::<DeadRow>("a dead letter", &row.value.bytes).map(|dead| dead.entry)
    };
    match entry {
        Ok(entry) if entry.erased.is_none() => OpenDelivery::of(row, entry),
        Ok(_) => None,
        // Nobody can tell any more whose it is.
        Err(error) => {
            tracing::error!(row = %row.key, "passed over by an erasure: {error}");
            None
        }
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
