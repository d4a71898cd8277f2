//! Read models: folds over the ledger, kept up behind the writes. They can be dropped and made again;
//! verification does just that and compares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{Enriched, Event, EventBody, FeedbackId, Kind, Received, Routed, Time};
use mihwar_store::{ApplyError, Batch, Edit, Guard, JournalEntry, Key, Order, Store, View};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::fault::Fault;
use crate::keys::{self, Lookup};
use crate::rows::{self, DeliveryRow, DeliveryState, Head};

/// How long a reader waits for the read models to see what was committed before it asked.
const READERS_WAIT: Duration = Duration::from_secs(2);
/// Behind by more events than this, read models no longer give way to intake.
const LATE_EVENTS: u64 = 300_000;
/// Events folded in one transaction.
const EVENTS_MAX: usize = 1_000;

/// Where the read models stand: the sequence of the next event to fold, and the version of the row.
pub(crate) async fn position(view: &dyn View) -> Result<(u64, Option<u64>), Fault> {
    match view.get(&keys::position()).await? {
        Some(row) => Ok((
            rows::decode("the read models' position", &row.bytes)?,
            Some(row.version),
        )),
        None => Ok((0, None)),
    }
}

/// Folds what is new, up to one transaction's worth and not beyond `until`. Answers how many events.
pub(crate) async fn advance(journal: &dyn View, models: &Arc<dyn Store>, until: u64) -> Result<usize, Fault> {
    let view = models.view().await?;
    let (from, version) = position(&*view).await?;
    let room = usize::try_from(until.saturating_sub(from))
        .unwrap_or(usize::MAX)
        .min(EVENTS_MAX);
    if room == 0 {
        return Ok(0);
    }
    let entries = journal.journal(from, room).await?;
    if entries.is_empty() {
        return Ok(0);
    }
    let folded = entries.len();
    let next = from + folded as u64;
    let mut batch = fold(&*view, &entries).await?;
    // The engine in memory copies its rows for a writer while a view looks at them.
    drop(view);
    batch.guards.push(match version {
        Some(version) => Guard::At(keys::position(), version),
        None => Guard::Absent(keys::position()),
    });
    batch.edits.push(Edit::Put(keys::position(), rows::encode(&next)?));
    models.apply(batch).await?;
    Ok(folded)
}

/// Keeps the read models up until told to stop.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    loop {
        let started = tokio::time::Instant::now();
        let pause = match step(&core).await {
            Ok(0) => Duration::from_millis(500),
            Ok(_) => {
                let late = behind(&core).await.is_ok_and(|behind| behind > LATE_EVENTS);
                core.right_of_way.give(started.elapsed(), late).await;
                continue;
            }
            Err(Fault::Busy { retry_after }) => retry_after,
            Err(error) => {
                tracing::error!("read models fall behind: {error}");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = core.wake.projector.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Events that are not folded yet.
async fn behind(core: &Core) -> Result<u64, Fault> {
    let view = core.store.view().await?;
    let (position, _) = position(&*view).await?;
    Ok(view.tree().size().saturating_sub(position))
}

/// One step; somebody else having made the same step counts as progress.
pub(crate) async fn step(core: &Core) -> Result<usize, Fault> {
    let view = core.store.view().await?;
    let size = view.tree().size();
    match advance(&*view, &core.store, size).await {
        Err(Fault::Contended) => Ok(1),
        other => other,
    }
}

/// Folds until everything that is committed now is in the read models.
pub(crate) async fn catch_up(core: &Core) -> Result<(), Fault> {
    let size = core.store.view().await?.tree().size();
    let mut busy = 0_u32;
    loop {
        let (position, _) = position(&*core.store.view().await?).await?;
        if position >= size {
            return Ok(());
        }
        match step(core).await {
            Ok(_) => {}
            Err(Fault::Busy { retry_after }) if busy < 100 => {
                busy += 1;
                tokio::time::sleep(retry_after).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// As [`catch_up`], but no longer than a reader should wait: under a flood of writes it sees what is there.
pub(crate) async fn catch_up_for_readers(core: &Core) -> Result<(), Fault> {
    tokio::time::timeout(READERS_WAIT, catch_up(core))
        .await
        .unwrap_or(Ok(()))
}

/// Drops every read model row, so that they are folded anew. A mark is set before and removed after: half of it done
/// is not taken for the whole by the next start, see [`finish_drop`].
pub(crate) async fn drop_all(store: &Arc<dyn Store>) -> Result<(), Fault> {
    apply(store, vec![Edit::Put(dropping(), Vec::new())]).await?;
    for space in keys::READ_MODELS {
        loop {
            let view = store.view().await?;
            let page = view.scan(keys::all(space), Order::Ascending, 1000).await?;
            drop(view);
            if page.rows.is_empty() {
                break;
            }
            apply(store, page.rows.into_iter().map(|row| Edit::Delete(row.key)).collect()).await?;
        }
    }
    apply(store, vec![Edit::Delete(dropping())]).await
}

/// Goes on with a drop that was cut off.
pub(crate) async fn finish_drop(store: &Arc<dyn Store>) -> Result<(), Fault> {
    match store.view().await?.get(&dropping()).await? {
        Some(_) => drop_all(store).await,
        None => Ok(()),
    }
}

fn dropping() -> Key {
    keys::setting("read-models-dropping")
}

async fn apply(store: &Arc<dyn Store>, edits: Vec<Edit>) -> Result<(), Fault> {
    let batch = Batch {
        edits,
        ..Batch::default()
    };
    loop {
        match store.apply(batch.clone()).await {
            Ok(_) => return Ok(()),
            Err(ApplyError::Busy { retry_after }) => tokio::time::sleep(retry_after).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Rows being changed by one fold; `None` while not yet known to exist.
struct Folding<'a> {
    view: &'a dyn View,
    heads: BTreeMap<FeedbackId, Option<Head>>,
    deliveries: BTreeMap<Key, Option<DeliveryRow>>,
    edits: Vec<Edit>,
    counts: BTreeMap<Key, i64>,
}

async fn fold(view: &dyn View, entries: &[JournalEntry]) -> Result<Batch, Fault> {
    let mut folding = Folding {
        view,
        heads: BTreeMap::new(),
        deliveries: BTreeMap::new(),
        edits: Vec::new(),
        counts: BTreeMap::new(),
    };
    let mut events = Vec::with_capacity(entries.len());
    for entry in entries {
        let event = Event::from_bytes(&entry.bytes).map_err(|detail| Fault::Damaged {
            what: "a ledger entry",
            detail: format!("{}: {detail}", entry.sequence),
        })?;
        events.push((entry.sequence, event));
    }
    folding.load(&events).await?;
    for (sequence, event) in events {
        folding.apply(sequence, event);
    }
    folding.finish()
}

impl Folding<'_> {
    async fn load(&mut self, events: &[(u64, Event)]) -> Result<(), Fault> {
        for (_, event) in events {
            match &event.body {
                EventBody::Received(e) if e.revision > 1 => drop(self.heads.insert(e.feedback, None)),
                EventBody::Enriched(e) => drop(self.heads.insert(e.feedback, None)),
                EventBody::Routed(e) => drop(self.heads.insert(e.feedback, None)),
                EventBody::Withdrawn(e) => drop(self.heads.insert(e.feedback, None)),
                EventBody::Delivered(e) => drop(self.deliveries.insert(keys::delivery(e.delivery), None)),
                EventBody::DeliveryFailed(e) => drop(self.deliveries.insert(keys::delivery(e.delivery), None)),
                EventBody::DeliverySkipped(e) => drop(self.deliveries.insert(keys::delivery(e.delivery), None)),
                EventBody::DeliveryDeadLettered(e) => drop(self.deliveries.insert(keys::delivery(e.delivery), None)),
                EventBody::DeliveryReplayed(e) => drop(self.deliveries.insert(keys::delivery(e.delivery), None)),
                _ => {}
            }
        }
        let head_keys: Vec<Key> = self.heads.keys().map(|id| keys::head(*id)).collect();
        for (head, row) in self.heads.values_mut().zip(self.view.get_many(&head_keys).await?) {
            *head = row.map(|row| rows::decode("a read model", &row.bytes)).transpose()?;
        }
        let delivery_keys: Vec<Key> = self.deliveries.keys().cloned().collect();
        for (delivery, row) in self
            .deliveries
            .values_mut()
            .zip(self.view.get_many(&delivery_keys).await?)
        {
            *delivery = row.map(|row| rows::decode("a read model", &row.bytes)).transpose()?;
        }
        Ok(())
    }

    fn apply(&mut self, sequence: u64, event: Event) {
        let at = event.at;
        let subject = match event.body {
            EventBody::Received(received) => Some(self.received(at, received)),
            EventBody::Enriched(enriched) => Some(self.enriched(enriched)),
            EventBody::EnrichmentFailed(failed) => Some(failed.feedback),
            EventBody::Routed(routed) => Some(self.routed(at, routed)),
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
                    (row.next_attempt, row.finished_at) = (Some(at), None);
                });
                Some(e.feedback)
            }
            EventBody::Withdrawn(withdrawn) => {
                if let Some(Some(head)) = self.heads.get_mut(&withdrawn.feedback) {
                    head.withdrawn = true;
                }
                Some(withdrawn.feedback)
            }
            EventBody::ContactCreated(_)
            | EventBody::InboundDeadLettered(_)
            | EventBody::InboundReplayed(_)
            | EventBody::InstanceConfigured(_)
            | EventBody::TokenCreated(_)
            | EventBody::TokenRevoked(_) => None,
        };
        if let Some(feedback) = subject {
            self.edits
                .push(Edit::Put(keys::history(feedback, sequence), Vec::new()));
        }
    }

    fn received(&mut self, at: Time, received: Received) -> FeedbackId {
        let feedback = received.feedback;
        let earlier = self.heads.remove(&feedback).flatten();
        let mut lookups = vec![received.thread.map(Lookup::Thread)];
        if let Some(earlier) = &earlier {
            self.count_kind(earlier.kind, -1);
        } else {
            self.count("instance", received.instance.as_str(), 1);
            lookups.push(Some(Lookup::Contact(received.contact)));
            lookups.push(Some(Lookup::Instance(received.instance.clone())));
        }
        self.count_kind(received.kind, 1);
        for lookup in lookups.into_iter().flatten() {
            self.edits.push(Edit::Put(lookup.entry(feedback), Vec::new()));
        }
        let (received_at, destinations) =
            earlier.map_or((at, Vec::new()), |earlier| (earlier.received_at, earlier.destinations));
        let head = Head {
            received_at,
            destinations,
            ..Head::of(at, received)
        };
        self.heads.insert(feedback, Some(head));
        feedback
    }

    fn enriched(&mut self, enriched: Enriched) -> FeedbackId {
        if let Some(Some(head)) = self.heads.get_mut(&enriched.feedback) {
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

    fn routed(&mut self, at: Time, routed: Routed) -> FeedbackId {
        for route in routed.routes {
            self.count("delivery", &format!("{}/waiting", route.destination), 1);
            let row = DeliveryRow {
                feedback: routed.feedback,
                destination: route.destination.clone(),
                rule: route.rule,
                state: DeliveryState::Waiting,
                attempts: 0,
                last_code: None,
                next_attempt: Some(at),
                created_at: at,
                finished_at: None,
            };
            self.deliveries.insert(keys::delivery(route.delivery), Some(row));
            let entry = Lookup::Destination(route.destination.clone()).entry(routed.feedback);
            self.edits.push(Edit::Put(entry, Vec::new()));
            if let Some(Some(head)) = self.heads.get_mut(&routed.feedback)
                && !head.destinations.contains(&route.destination)
            {
                head.destinations.push(route.destination);
            }
        }
        routed.feedback
    }

    fn attempted(&mut self, key: &Key, state: DeliveryState, change: impl FnOnce(&mut DeliveryRow)) {
        let Some(Some(row)) = self.deliveries.get_mut(key) else {
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

    fn finish(mut self) -> Result<Batch, Fault> {
        for (id, head) in self.heads {
            if let Some(head) = head {
                self.edits.push(Edit::Put(keys::head(id), rows::encode(&head)?));
            }
        }
        for (key, row) in self.deliveries {
            if let Some(row) = row {
                self.edits.push(Edit::Put(key, rows::encode(&row)?));
            }
        }
        // A count that comes out even is written too: whether a row is there may not depend on how many events
        // were folded at once.
        self.edits
            .extend(self.counts.into_iter().map(|(key, by)| Edit::Add(key, by)));
        Ok(Batch {
            edits: self.edits,
            ..Batch::default()
        })
    }
}
