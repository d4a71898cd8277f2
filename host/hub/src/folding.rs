//! The fold itself: what each event does to the rows of the read models. Whoever folds decides where they are written.

use std::collections::{BTreeMap, BTreeSet};

use mihwar_model::{
    DeliveryId, Enriched, Event, EventBody, FeedbackId, InstanceName, Kind, Received, RecordErased, Route, Routed, Time,
};
use mihwar_store::{Batch, Edit, JournalEntry, Key, View};

use crate::facets::{self, Blocks};
use crate::fault::{Fault, OnDamage};
use crate::feed_row::FeedRow;
use crate::head_row;
use crate::keys::{self, Lookup};
use crate::rows::{self, DeliveryRow, DeliveryState, Head};

/// Rows that a fold changed, as they are now; `None` for one that it looked for and that is not there.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    heads: BTreeMap<FeedbackId, Option<Head>>,
    deliveries: BTreeMap<Key, Option<DeliveryRow>>,
    facets: Blocks,
}

/// What a fold leaves to be written.
pub(crate) struct Folded {
    /// Every row but the counts.
    pub(crate) edits: Vec<Edit>,
    /// By how much each count changed. One that comes out even is there too: whether a row exists may not depend on how
    /// many events were folded at once.
    pub(crate) counts: BTreeMap<Key, i64>,
    /// Rows that were not there before, counts aside.
    pub(crate) new_rows: u64,
    /// Heads, deliveries and blocks of facets, for who goes on before they are written.
    pub(crate) touched: Touched,
}

/// The fold: what each event does to the rows.
#[derive(Default)]
pub(crate) struct Folding {
    rows: Touched,
    feeds: BTreeMap<Key, FeedRow>,
    edits: Vec<Edit>,
    counts: BTreeMap<Key, i64>,
    new_rows: u64,
}

/// What these entries do to the rows that a view shows.
pub(crate) async fn fold(view: &dyn View, entries: &[JournalEntry]) -> Result<Batch, Fault> {
    let mut events = Vec::with_capacity(entries.len());
    for entry in entries {
        let event = Event::from_bytes(&entry.bytes).map_err(|detail| no_event(entry.sequence, &detail))?;
        events.push((entry.sequence, event));
    }
    let mut folding = Folding::load(view, &Touched::default(), OnDamage::PassOver, &events).await?;
    for (sequence, event) in events {
        folding.apply(sequence, event);
    }
    let Folded { mut edits, counts, .. } = folding.finish()?;
    edits.extend(counts.into_iter().map(|(key, by)| Edit::Add(key, by)));
    Ok(Batch {
        edits,
        ..Batch::default()
    })
}

/// That an entry of the ledger cannot be read.
pub(crate) fn no_event(sequence: u64, detail: &str) -> Fault {
    Fault::Damaged {
        what: "a ledger entry",
        detail: format!("{sequence}: {detail}"),
    }
}

/// Heads and deliveries that events speak of and that were there before them, and the records whose facets may change.
#[derive(Default)]
struct Wanted {
    records: Vec<FeedbackId>,
    heads: BTreeSet<FeedbackId>,
    deliveries: BTreeSet<Key>,
    new_heads: BTreeSet<FeedbackId>,
    new_deliveries: BTreeSet<DeliveryId>,
}

impl Wanted {
    fn of(events: &[(u64, Event)]) -> Self {
        let mut wanted = Self::default();
        for (_, event) in events {
            match &event.body {
                EventBody::Received(e) => {
                    wanted.records.push(e.feedback);
                    if e.revision > 1 {
                        wanted.head(e.feedback);
                    } else {
                        wanted.new_heads.insert(e.feedback);
                    }
                }
                EventBody::Enriched(e) => {
                    wanted.records.push(e.feedback);
                    wanted.head(e.feedback);
                }
                EventBody::Routed(e) | EventBody::BackFilled(e) => {
                    wanted.records.push(e.feedback);
                    wanted.head(e.feedback);
                    wanted
                        .new_deliveries
                        .extend(e.routes.iter().map(|route| route.delivery));
                }
                EventBody::Withdrawn(e) => wanted.head(e.feedback),
                EventBody::RecordErased(e) => {
                    wanted.head(e.feedback);
                    wanted
                        .new_deliveries
                        .extend(e.routes.iter().map(|route| route.delivery));
                }
                EventBody::Delivered(e) => wanted.delivery(e.delivery),
                EventBody::DeliveryFailed(e) => wanted.delivery(e.delivery),
                EventBody::DeliverySkipped(e) => wanted.delivery(e.delivery),
                EventBody::DeliveryDeadLettered(e) => wanted.delivery(e.delivery),
                EventBody::DeliveryReplayed(e) => wanted.delivery(e.delivery),
                _ => {}
            }
        }
        wanted
    }

    fn head(&mut self, feedback: FeedbackId) {
        if !self.new_heads.contains(&feedback) {
            self.heads.insert(feedback);
        }
    }

    fn delivery(&mut self, delivery: DeliveryId) {
        if !self.new_deliveries.contains(&delivery) {
            self.deliveries.insert(keys::delivery(delivery));
        }
    }
}

/// The rows of `wanted`, in its order: those that were just changed as they are in `recent`, the others from the view.
async fn find<K: Ord + Clone, T: Clone>(
    view: &dyn View,
    recent: &BTreeMap<K, Option<T>>,
    on_damage: OnDamage,
    wanted: BTreeSet<K>,
    key: fn(&K) -> Key,
    decode: fn(&K, &[u8]) -> Result<T, Fault>,
) -> Result<BTreeMap<K, Option<T>>, Fault> {
    let (known, unknown): (Vec<K>, Vec<K>) = wanted.into_iter().partition(|id| recent.contains_key(id));
    let lookups: Vec<Key> = unknown.iter().map(key).collect();
    let mut found: BTreeMap<K, Option<T>> = known
        .into_iter()
        .map(|id| {
            let row = recent.get(&id).cloned().flatten();
            (id, row)
        })
        .collect();
    if !lookups.is_empty() {
        for (id, row) in unknown.into_iter().zip(view.get_many(&lookups).await?) {
            let row = match row.map(|row| decode(&id, &row.bytes)).transpose() {
                Err(error) if on_damage == OnDamage::PassOver => {
                    let row = keys::describe(&key(&id));
                    tracing::error!(%row, "{error}; it stays so; run: mihwar ledger verify");
                    None
                }
                row => row?,
            };
            found.insert(id, row);
        }
    }
    Ok(found)
}

fn read_head(id: &FeedbackId, row: &[u8]) -> Result<Head, Fault> {
    head_row::decode(*id, row)
}

fn read_delivery(_: &Key, row: &[u8]) -> Result<DeliveryRow, Fault> {
    rows::decode("a read model", row)
}

impl Folding {
    /// Gets what `events` need: from `recent`, where the fold before these left it, or from the view.
    pub(crate) async fn load(
        view: &dyn View,
        recent: &Touched,
        on_damage: OnDamage,
        events: &[(u64, Event)],
    ) -> Result<Self, Fault> {
        let wanted = Wanted::of(events);
        let (heads, deliveries) = (&recent.heads, &recent.deliveries);
        Ok(Self {
            rows: Touched {
                heads: find(view, heads, on_damage, wanted.heads, |id| keys::head(*id), read_head).await?,
                deliveries: find(
                    view,
                    deliveries,
                    on_damage,
                    wanted.deliveries,
                    Key::clone,
                    read_delivery,
                )
                .await?,
                facets: Blocks::load(view, &recent.facets, on_damage, wanted.records).await?,
            },
            ..Self::default()
        })
    }

    /// Folds one event. It must be among those that were loaded for.
    pub(crate) fn apply(&mut self, sequence: u64, event: Event) {
        let at = event.at;
        self.feed(sequence, &event);
        // Told by the event alone: which heads are at hand depends on what else is folded at once.
        let changes_head = matches!(
            event.body,
            EventBody::Received(_)
                | EventBody::Enriched(_)
                | EventBody::Routed(_)
                | EventBody::BackFilled(_)
                | EventBody::Withdrawn(_)
                | EventBody::RecordErased(_)
        );
        let subject = match event.body {
            EventBody::Received(received) => Some(self.received(at, received)),
            EventBody::Enriched(enriched) => Some(self.enriched(enriched)),
            EventBody::EnrichmentFailed(failed) => Some(failed.feedback),
            EventBody::Routed(routed) | EventBody::BackFilled(routed) => Some(self.routed(sequence, at, routed)),
            EventBody::Delivered(e) => {
                self.attempted(&keys::delivery(e.delivery), DeliveryState::Delivered, |row| {
                    (row.attempts, row.next_attempt, row.finished_at) = (e.attempt, None, Some(at));
                });
                Some(e.feedback)
            }
            EventBody::DeliveryFailed(e) => {
                self.attempted(&keys::delivery(e.delivery), DeliveryState::Retrying, |row| {
                    (row.attempts, row.next_attempt, row.last_code) = (e.attempt, Some(e.retry_at), Some(e.code));
                });
                Some(e.feedback)
            }
            EventBody::DeliverySkipped(e) => {
                self.attempted(&keys::delivery(e.delivery), DeliveryState::Skipped, |row| {
                    (row.attempts, row.next_attempt, row.finished_at) = (e.attempt, None, Some(at));
                });
                Some(e.feedback)
            }
            EventBody::DeliveryDeadLettered(e) => {
                self.attempted(&keys::delivery(e.delivery), DeliveryState::Dead, |row| {
                    (row.attempts, row.next_attempt) = (e.attempts, None);
                    (row.last_code, row.finished_at) = (Some(e.code), Some(at));
                });
                Some(e.feedback)
            }
            EventBody::DeliveryReplayed(e) => {
                self.attempted(&keys::delivery(e.delivery), DeliveryState::Waiting, |row| {
                    (row.next_attempt, row.finished_at, row.position) = (Some(at), None, sequence);
                });
                Some(e.feedback)
            }
            EventBody::Withdrawn(withdrawn) => {
                if let Some(Some(head)) = self.rows.heads.get_mut(&withdrawn.feedback) {
                    head.withdrawn = true;
                }
                Some(withdrawn.feedback)
            }
            EventBody::RecordErased(erased) => Some(self.erased(sequence, at, erased)),
            EventBody::StatusReported(report) => Some(report.feedback),
            EventBody::ContactCreated(_)
            | EventBody::ContactErased(_)
            | EventBody::InboundDeadLettered(_)
            | EventBody::InboundReplayed(_)
            | EventBody::InstanceConfigured(_)
            | EventBody::TokenCreated(_)
            | EventBody::TokenRevoked(_)
            | EventBody::DestinationPaused(_)
            | EventBody::DestinationResumed(_) => None,
        };
        if let Some(feedback) = subject {
            self.note(feedback, sequence, changes_head);
        }
    }

    fn feed(&mut self, sequence: u64, event: &Event) {
        let rows = FeedRow::of(event).into_iter();
        self.feeds
            .extend(rows.map(|(destination, row)| (keys::feed(&destination, sequence), row)));
    }

    /// Notes that an entry tells of a record: in its head if that is written anyway and has room, else in a row of its own.
    fn note(&mut self, feedback: FeedbackId, sequence: u64, changes_head: bool) {
        if changes_head
            && let Some(Some(head)) = self.rows.heads.get_mut(&feedback)
            && head.entries.add(sequence)
        {
            return;
        }
        self.edits
            .push(Edit::Put(keys::history(feedback, sequence), Vec::new()));
    }

    fn received(&mut self, at: Time, received: Received) -> FeedbackId {
        let feedback = received.feedback;
        let earlier = self.rows.heads.remove(&feedback).flatten();
        let mut lookups = vec![received.thread.map(Lookup::Thread)];
        if received.revision == 1 {
            self.new_rows += 1;
            self.count("instance", received.instance.as_str(), 1);
            self.count_kind(received.kind, 1);
            lookups.push(Some(Lookup::Contact(received.contact)));
        } else if let Some(earlier) = &earlier {
            self.count_kind(earlier.kind, -1);
            self.count_kind(received.kind, 1);
        }
        // Else its head was damaged: it is counted already, and of which kind it was is not known.
        self.rows.facets.insert(feedback);
        for lookup in lookups.into_iter().flatten() {
            self.edits.push(Edit::Put(lookup.entry(feedback), Vec::new()));
        }
        let mut head = Head::of(at, received);
        if let Some(earlier) = earlier {
            head.received_at = earlier.received_at;
            head.destinations = earlier.destinations;
            head.entries = earlier.entries;
        }
        head_row::leave_room(&mut head);
        self.rows.heads.insert(feedback, Some(head));
        feedback
    }

    fn enriched(&mut self, enriched: Enriched) -> FeedbackId {
        if let Some(Some(head)) = self.rows.heads.get_mut(&enriched.feedback) {
            let (before, feedback) = (head.kind, enriched.feedback);
            crate::enrichment::apply(head, enriched);
            let after = head.kind;
            if before != after {
                self.count_kind(before, -1);
                self.count_kind(after, 1);
            }
            return feedback;
        }
        enriched.feedback
    }

    fn routed(&mut self, sequence: u64, at: Time, routed: Routed) -> FeedbackId {
        for route in routed.routes {
            let destination = self.begin_delivery(sequence, at, routed.feedback, route);
            if let Some(Some(head)) = self.rows.heads.get_mut(&routed.feedback)
                && !head.destinations.contains(&destination)
            {
                head.destinations.push(destination);
            }
        }
        routed.feedback
    }

    fn erased(&mut self, sequence: u64, at: Time, erased: RecordErased) -> FeedbackId {
        for route in erased.routes {
            self.begin_delivery(sequence, at, erased.feedback, route);
        }
        if let Some(Some(head)) = self.rows.heads.get_mut(&erased.feedback) {
            head.erased_at = Some(at);
        }
        erased.feedback
    }

    /// A delivery begins to wait, by this entry. Answers for whom.
    fn begin_delivery(&mut self, sequence: u64, at: Time, feedback: FeedbackId, route: Route) -> InstanceName {
        self.count("delivery", &format!("{}/waiting", route.destination), 1);
        let row = DeliveryRow {
            feedback,
            destination: route.destination.clone(),
            rule: route.rule,
            state: DeliveryState::Waiting,
            attempts: 0,
            last_code: None,
            next_attempt: Some(at),
            created_at: at,
            finished_at: None,
            position: sequence,
        };
        self.new_rows += 1;
        self.rows.deliveries.insert(keys::delivery(route.delivery), Some(row));
        route.destination
    }

    fn attempted(&mut self, key: &Key, state: DeliveryState, change: impl FnOnce(&mut DeliveryRow)) {
        let Some(Some(row)) = self.rows.deliveries.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut row.state, state);
        change(row);
        let destination = row.destination.clone();
        if before != state {
            self.count("delivery", &format!("{destination}/{}", before.as_str()), -1);
            self.count("delivery", &format!("{destination}/{}", state.as_str()), 1);
        }
    }

    fn count_kind(&mut self, kind: Option<Kind>, by: i64) {
        self.count("kind", kind.map_or("unknown", Kind::as_str), by);
    }

    fn count(&mut self, name: &str, of: &str, by: i64) {
        *self.counts.entry(keys::count(name, of)).or_default() += by;
    }

    /// What is to be written.
    pub(crate) fn finish(mut self) -> Result<Folded, Fault> {
        let new_rows = self.new_rows + self.rows.facets.opened() + (self.edits.len() + self.feeds.len()) as u64;
        for (key, row) in self.feeds {
            self.edits.push(Edit::Put(key, rows::encode(&row)?));
        }
        for (id, head) in &mut self.rows.heads {
            if let Some(head) = head {
                // Once for all events of a record: where its place is, `received` has decided.
                self.rows.facets.set(*id, &facets::codes(head));
                self.edits.push(Edit::Put(keys::head(*id), head_row::encode(head)?));
            }
        }
        for (key, row) in &self.rows.deliveries {
            if let Some(row) = row {
                self.edits.push(Edit::Put(key.clone(), rows::encode(row)?));
            }
        }
        self.rows.facets.write(&mut self.edits);
        Ok(Folded {
            edits: self.edits,
            counts: self.counts,
            new_rows,
            touched: self.rows,
        })
    }
}
