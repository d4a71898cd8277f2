//! Verification: everything that follows from the ledger is made anew from it and compared with what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mihwar_ledger::{Checkpoint, Frontier, Signer, leaf_hash};
use mihwar_model::{ContactId, Content, Event, EventBody, FeedbackId};
use mihwar_store::{Key, KeyRange, MemoryStore, Order, Row, Store, StoreError, Versioned, View};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::core::Core;
use crate::fault::{Fault, UNREADABLE};
use crate::keys;
use crate::projection;
use crate::vault::ContactKey;

/// Findings told one by one; beyond it they are counted.
const FINDINGS_MAX: usize = 50;

/// How far a verification is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyProgress {
    /// What is being done.
    pub stage: String,
    /// How much of it is done.
    pub done: u64,
    /// Of how much.
    pub total: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether everything is as the ledger says.
    pub ok: bool,
    /// Entries hashed.
    pub events: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// Signed checkpoints that were compared with the tree.
    pub checkpoints: u64,
    /// Contents opened and compared with their commitment.
    pub contents: u64,
    /// Attached files opened.
    #[serde(default)]
    pub files: u64,
    /// Contents that are gone: withdrawn or erased.
    pub contents_gone: u64,
    /// Deliveries that are compared with the outbox.
    pub deliveries_open: u64,
    /// Rows of read models, folded anew and compared.
    pub read_model_rows: u64,
    /// What does not fit.
    pub findings: Vec<String>,
    /// Findings beyond those told.
    pub findings_untold: u64,
}

impl VerifyReport {
    fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_untold += 1;
        }
    }

    /// The result, or nothing: that something at rest cannot be read is a finding, and no reason to stop looking.
    fn or_finding<T>(&mut self, what: &str, result: Result<T, Fault>) -> Result<Option<T>, Fault> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(fault) if fault.is_damage() || is_damaged_store(&fault) => {
                self.find(format!("{what} cannot be read to the end: {fault}"));
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Whether the store's file is not what was written.
fn is_damaged_store(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Store(StoreError::Corrupt { .. } | StoreError::Engine { .. })
    )
}

/// Hashes every entry again, compares with the stored tree and every signed checkpoint, opens every
/// content with its files and compares with its commitment, folds the read models anew and compares row by row.
pub(crate) async fn verify(
    core: &Core,
    signer: &Signer,
    origin: &str,
    progress: mpsc::Sender<VerifyProgress>,
) -> Result<VerifyReport, Fault> {
    let mut report = VerifyReport::default();
    let caught_up = projection::catch_up(core).await;
    report.or_finding("what is new for the read models", caught_up)?;
    let view = core.store.view().await?;
    let mut work = Verification {
        core,
        view: &*view,
        report: &mut report,
        progress,
    };
    let ledger = work.ledger(signer, origin).await;
    if let Some(facts) = work.report.or_finding("the ledger", ledger)? {
        let contents = work.contents(&facts).await;
        work.report.or_finding("the contents", contents)?;
        let queue = work.queue(&facts).await;
        work.report.or_finding("the queue", queue)?;
        let outbox = work.outbox(&facts.open_deliveries).await;
        work.report.or_finding("the outbox", outbox)?;
    }
    let read_models = work.read_models().await;
    work.report.or_finding("the read models", read_models)?;
    report.ok = report.findings.is_empty();
    Ok(report)
}

struct Verification<'a> {
    core: &'a Core,
    view: &'a dyn View,
    report: &'a mut VerifyReport,
    progress: mpsc::Sender<VerifyProgress>,
}

/// A content that the ledger tells of.
struct ContentFact {
    sequence: u64,
    feedback: FeedbackId,
    revision: u32,
    contact: ContactId,
    commitment: [u8; 32],
}

/// What the ledger says must be there.
#[derive(Default)]
struct Facts {
    received: Vec<ContentFact>,
    /// Withdrawn feedback, with the sequence of the last withdrawal: a later revision may be there again.
    withdrawn: BTreeMap<FeedbackId, u64>,
    /// Received and not yet routed: these wait in the pipeline's queue.
    unrouted: BTreeSet<(FeedbackId, u32)>,
    /// Taken out of the queue because its content cannot be read.
    set_aside: BTreeSet<FeedbackId>,
    /// Outbox and dead-letter rows of deliveries without an end.
    open_deliveries: BTreeSet<Key>,
}

impl Facts {
    fn take(&mut self, sequence: u64, body: EventBody) {
        match body {
            EventBody::Received(e) => {
                self.unrouted.insert((e.feedback, e.revision));
                self.received.push(ContentFact {
                    sequence,
                    feedback: e.feedback,
                    revision: e.revision,
                    contact: e.contact,
                    commitment: e.commitment,
                });
            }
            EventBody::EnrichmentFailed(e) if e.code == UNREADABLE => drop(self.set_aside.insert(e.feedback)),
            EventBody::Withdrawn(e) => drop(self.withdrawn.insert(e.feedback, sequence)),
            EventBody::Routed(e) => {
                self.unrouted.remove(&(e.feedback, e.revision));
                self.open_deliveries
                    .extend(e.routes.iter().map(|r| keys::outbox(&r.destination, r.delivery)));
            }
            EventBody::Delivered(e) => {
                self.open_deliveries.remove(&keys::outbox(&e.destination, e.delivery));
            }
            EventBody::DeliverySkipped(e) => {
                self.open_deliveries.remove(&keys::outbox(&e.destination, e.delivery));
            }
            EventBody::DeliveryDeadLettered(e) => {
                self.open_deliveries.remove(&keys::outbox(&e.destination, e.delivery));
                self.open_deliveries.insert(keys::dead(&e.destination, e.delivery));
            }
            EventBody::DeliveryReplayed(e) => {
                self.open_deliveries.remove(&keys::dead(&e.destination, e.delivery));
                self.open_deliveries.insert(keys::outbox(&e.destination, e.delivery));
            }
            _ => {}
        }
    }
}

impl Verification<'_> {
    fn tell(&self, stage: &str, done: u64, total: u64) {
        // Whoever listens may lag behind; the work does not wait for it.
        drop(self.progress.try_send(VerifyProgress {
            stage: stage.into(),
            done,
            total,
        }));
    }

    async fn ledger(&mut self, signer: &Signer, origin: &str) -> Result<Facts, Fault> {
        let total = self.view.tree().size();
        let mut checkpoints = self.checkpoints(signer, origin).await?;
        let (mut frontier, mut facts, mut from) = (Frontier::new(), Facts::default(), 0);
        self.compare(&mut checkpoints, &frontier);
        while from < total {
            let entries = self.view.journal(from, 1000).await?;
            if entries.is_empty() {
                self.report.find(format!("entry {from} of {total} is missing"));
                break;
            }
            for entry in entries {
                if entry.sequence != from {
                    self.report.find(format!("entry {from} is missing"));
                }
                frontier.append(leaf_hash(&entry.bytes));
                from = entry.sequence + 1;
                match Event::from_bytes(&entry.bytes) {
                    Ok(event) => facts.take(entry.sequence, event.body),
                    Err(detail) => self
                        .report
                        .find(format!("entry {} is no event: {detail}", entry.sequence)),
                }
                self.compare(&mut checkpoints, &frontier);
            }
            self.tell("ledger", from, total);
        }
        if frontier.root() != self.view.tree().root() {
            self.report.find(format!(
                "the entries hash to {}, but the stored tree says {}",
                frontier.root().to_base64(),
                self.view.tree().root().to_base64()
            ));
        }
        for size in checkpoints.keys() {
            self.report.find(format!(
                "a signed checkpoint speaks of {size} entries, but there are {total}: history was cut"
            ));
        }
        self.report.events = frontier.size();
        self.report.root = frontier.root().to_base64();
        Ok(facts)
    }

    async fn checkpoints(&mut self, signer: &Signer, origin: &str) -> Result<BTreeMap<u64, Checkpoint>, Fault> {
        let (mut found, mut range) = (BTreeMap::new(), keys::all(keys::CHECKPOINT));
        loop {
            let page = self.view.scan(range, Order::Ascending, 1000).await?;
            for row in page.rows {
                let note = String::from_utf8_lossy(&row.value.bytes).into_owned();
                match Checkpoint::open(&note, origin, &signer.verifying_key()) {
                    Ok((checkpoint, _)) => drop(found.insert(checkpoint.size, checkpoint)),
                    Err(error) => self.report.find(format!("a kept checkpoint does not verify: {error}")),
                }
            }
            match page.next {
                Some(next) => range = next,
                None => return Ok(found),
            }
        }
    }

    fn compare(&mut self, checkpoints: &mut BTreeMap<u64, Checkpoint>, frontier: &Frontier) {
        if let Some(checkpoint) = checkpoints.remove(&frontier.size()) {
            self.report.checkpoints += 1;
            if checkpoint.root != frontier.root() {
                self.report.find(format!(
                    "the signed checkpoint at {} entries has another root: history was rewritten",
                    checkpoint.size
                ));
            }
        }
    }

    async fn contents(&mut self, facts: &Facts) -> Result<(), Fault> {
        let total = facts.received.len() as u64;
        let mut done = 0;
        for chunk in facts.received.chunks(256) {
            let lookups: Vec<Key> = chunk
                .iter()
                .map(|fact| keys::content(fact.feedback, fact.revision))
                .collect();
            let rows = self.view.get_many(&lookups).await?;
            let contacts = chunk.iter().map(|fact| fact.contact).collect();
            let contacts = self.core.contact_keys(self.view, contacts).await?;
            for (fact, row) in chunk.iter().zip(rows) {
                let withdrawn = facts
                    .withdrawn
                    .get(&fact.feedback)
                    .is_some_and(|at| *at > fact.sequence);
                self.content(fact, row, contacts.get(&fact.contact), withdrawn).await;
            }
            done += chunk.len() as u64;
            self.tell("contents", done, total);
        }
        Ok(())
    }

    /// One content: there and as it was received, or gone and withdrawn.
    async fn content(&mut self, fact: &ContentFact, row: Option<Versioned>, key: Option<&ContactKey>, withdrawn: bool) {
        let (id, revision) = (fact.feedback, fact.revision);
        let finding = match (row, key) {
            (Some(_), _) if withdrawn => {
                format!("the content of {id} (revision {revision}) was withdrawn, but is still there")
            }
            (Some(row), Some(key)) => match self.core.open_content(key, id, revision, &row.bytes).await {
                Ok(opened) if opened.commitment == fact.commitment => {
                    self.report.contents += 1;
                    return self.files(id, revision, key, &opened.content).await;
                }
                Err(_) if self.is_gone_meanwhile(id, revision).await => {
                    self.report.contents_gone += 1;
                    return;
                }
                Ok(_) => format!("the content of {id} (revision {revision}) is not what was received"),
                Err(error) => format!("the content of {id} (revision {revision}): {error}"),
            },
            (Some(_), None) => format!("the content of {id} is there, but its contact's key is gone"),
            (None, _) if withdrawn => {
                self.report.contents_gone += 1;
                return;
            }
            (None, _) => format!("the content of {id} (revision {revision}) is gone, and no event says why"),
        };
        self.report.find(finding);
    }

    /// The files that came with a content: there, and as they were sealed.
    async fn files(&mut self, id: FeedbackId, revision: u32, key: &ContactKey, content: &Content) {
        for file in content.attachments.iter().filter_map(|attachment| attachment.id) {
            let opened = match self.core.blobs.read(file.0).await {
                Ok(sealed) => self
                    .core
                    .vault
                    .open_for(key, &file.to_bytes(), &sealed)
                    .map(drop)
                    .map_err(Fault::from),
                Err(error) => Err(Fault::from(error)),
            };
            match opened {
                Ok(()) => self.report.files += 1,
                Err(_) if self.is_gone_meanwhile(id, revision).await => return,
                Err(error) => self.report.find(format!("the file {file} of {id}: {error}")),
            }
        }
    }

    /// Whether a content was withdrawn after this verification had begun.
    async fn is_gone_meanwhile(&self, id: FeedbackId, revision: u32) -> bool {
        let now = async { self.core.store.view().await?.get(&keys::content(id, revision)).await };
        matches!(now.await, Ok(None))
    }

    /// What was received and not routed must wait in the queue, unless it was withdrawn or is unreadable.
    async fn queue(&mut self, facts: &Facts) -> Result<(), Fault> {
        let unrouted: Vec<_> = facts.unrouted.iter().copied().collect();
        for chunk in unrouted.chunks(1000) {
            let keys: Vec<Key> = chunk
                .iter()
                .flat_map(|(id, revision)| [keys::queue(*id, *revision), keys::content(*id, *revision)])
                .collect();
            let rows = self.view.get_many(&keys).await?;
            for ((id, revision), pair) in chunk.iter().zip(rows.chunks(2)) {
                let is_lost = matches!(pair, [None, Some(_)]) && !facts.set_aside.contains(id);
                if is_lost {
                    self.report.find(format!(
                        "{id} (revision {revision}) was received, but neither routed nor does it wait to be"
                    ));
                }
            }
        }
        Ok(())
    }

    async fn outbox(&mut self, open: &BTreeSet<Key>) -> Result<(), Fault> {
        for space in [keys::OUTBOX, keys::DEAD] {
            let mut range = keys::all(space);
            loop {
                let page = self.view.scan(range, Order::Ascending, 1000).await?;
                for row in page.rows.iter().filter(|row| !open.contains(&row.key)) {
                    self.report.find(format!(
                        "a delivery waits that the ledger does not know ({:02x?})",
                        row.key.as_bytes()
                    ));
                }
                match page.next {
                    Some(next) => range = next,
                    None => break,
                }
            }
        }
        let keys: Vec<Key> = open.iter().cloned().collect();
        for chunk in keys.chunks(1000) {
            let missing = self
                .view
                .get_many(chunk)
                .await?
                .iter()
                .filter(|row| row.is_none())
                .count();
            self.report.deliveries_open += chunk.len() as u64;
            if missing > 0 {
                self.report
                    .find(format!("{missing} deliveries are neither done nor waiting"));
            }
        }
        Ok(())
    }

    async fn read_models(&mut self) -> Result<(), Fault> {
        let (until, _) = projection::position(self.view).await?;
        let anew: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut done = 0;
        while done < until {
            done += projection::advance(self.view, &anew, until).await? as u64;
            self.tell("read models", done, until);
        }
        let anew = anew.view().await?;
        for space in keys::READ_MODELS {
            self.compare_space(&*anew, space).await?;
        }
        Ok(())
    }

    async fn compare_space(&mut self, anew: &dyn View, space: mihwar_store::Space) -> Result<(), Fault> {
        let mut range = Some(keys::all(space));
        let mut expected = Rows::new(anew, keys::all(space));
        while let Some(next) = range.take() {
            let page = self.view.scan(next, Order::Ascending, 1000).await?;
            for row in page.rows {
                self.report.read_model_rows += 1;
                match expected.next().await? {
                    Some(other) if other.key == row.key && other.value.bytes == row.value.bytes => {}
                    _ => {
                        self.report.find(format!("a read model row is not what the ledger gives ({:02x?}); stop the hub and run: mihwar doctor --rebuild", row.key.as_bytes()));
                        return Ok(());
                    }
                }
            }
            range = page.next;
        }
        if expected.next().await?.is_some() {
            self.report.find(
                "a read model lacks rows that the ledger gives; stop the hub and run: mihwar doctor --rebuild".into(),
            );
        }
        Ok(())
    }
}

/// Rows of a range one by one.
struct Rows<'a> {
    view: &'a dyn View,
    range: Option<KeyRange>,
    page: std::vec::IntoIter<Row>,
}

impl<'a> Rows<'a> {
    fn new(view: &'a dyn View, range: KeyRange) -> Self {
        Self {
            view,
            range: Some(range),
            page: Vec::new().into_iter(),
        }
    }

    async fn next(&mut self) -> Result<Option<Row>, Fault> {
        loop {
            if let Some(row) = self.page.next() {
                return Ok(Some(row));
            }
            let Some(range) = self.range.take() else {
                return Ok(None);
            };
            let page = self.view.scan(range, Order::Ascending, 1000).await?;
            self.range = page.next;
            self.page = page.rows.into_iter();
        }
    }
}
