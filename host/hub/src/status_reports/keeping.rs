//! Keeping reports: what a call brought becomes part of a transaction, or is refused.

use std::collections::{BTreeSet, HashMap, HashSet};

use mihwar_model::{Actor, ContactId, Event, EventBody, FeedbackId, FieldProblem, InstanceName, StatusReported, Time};
use mihwar_sandbox::contract::types::StatusUpdate;
use mihwar_store::{Edit, Guard, Key, KeyRange, Order, Row, View};

use super::checked::Report;
use super::{index, sealed};
use crate::core::Core;
use crate::fault::Fault;
use crate::intake::Rider;
use crate::keys;
use crate::rows::{self, ReportRow};

/// Items that may be called the same and are reported about together.
const ITEMS_MAX: usize = 64;
/// Reports that are kept of one item and department: one that never ends changing must not fill the ledger. Few in tests.
const REPORTS_MAX: usize = if cfg!(test) { 4 } else { 500 };

/// Bytes of reports that are written with what else a call brought; of more, the first are written before. Far below what
/// a transaction may have, for the records beside them. Few in tests.
const TOGETHER_BYTES_MAX: usize = if cfg!(test) { 4_000 } else { 4_000_000 };
/// How often a part of them is planned anew because an item was changed meanwhile.
const PARTS_ANEW_MAX: u32 = 16;

/// What came of the reports of one call.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    /// What is to become durable with the call.
    pub(crate) rider: Rider,
    /// What the department calls the item, and why its report is not kept.
    pub(crate) refused: Vec<(String, Vec<FieldProblem>)>,
    /// Whether one was refused because nothing is called so, while deliveries to this department are on their way: one of
    /// them may bring the name.
    pub(crate) may_be_early: bool,
    /// How many of those that are refused are so because nothing is called so, and for nothing else.
    unknown: usize,
    kept: u64,
    repeated: u64,
}

impl Reported {
    /// Whether nothing is wrong but that they are about what this department was never handed, or what is gone: that will not
    /// change, and what was said of somebody who was erased must not be kept.
    pub(crate) fn is_about_nothing(&self) -> bool {
        self.unknown == self.refused.len()
    }

    /// Counts and tells what was done, once it is.
    pub(crate) fn count(&self, instance: &InstanceName) {
        let refused = self.refused.len() as u64;
        for (result, count) in [("kept", self.kept), ("repeated", self.repeated), ("refused", refused)] {
            if count > 0 {
                let instance = instance.to_string();
                metrics::counter!("mihwar_status_reports_total", "instance" => instance, "result" => result)
                    .increment(count);
            }
        }
        if refused > 0 {
            // What a department calls an item, and what it says, stays out of the log.
            let problems = self.refused.iter().flat_map(|(_, problems)| problems);
            let fields: BTreeSet<&str> = problems.map(|problem| problem.field.as_str()).collect();
            tracing::warn!(%instance, refused, ?fields, "reports of what became of items were refused");
        }
    }
}

/// Sorts out what is to be written of these reports of an instance, as the store stands. Whoever writes it does so in one
/// transaction, and asks again when a guard fails. Of more than fit beside what else a call brought, the first are written here:
/// when the call is repeated, they are known.
///
/// # Errors
/// When the store cannot be read, or a part cannot be written.
pub(crate) async fn plan(core: &Core, instance: &InstanceName, updates: &[StatusUpdate]) -> Result<Reported, Fault> {
    let (mut written, mut anew) = (0, 0);
    loop {
        let (mut reported, is_whole) = portion(core, instance, updates).await?;
        if is_whole {
            reported.kept += written;
            reported.repeated = reported.repeated.saturating_sub(written);
            return Ok(reported);
        }
        match reported.rider.alone(core).await {
            Ok(()) => written += reported.kept,
            Err(Fault::Contended) if anew < PARTS_ANEW_MAX => anew += 1,
            Err(error) => return Err(error),
        }
    }
}

/// As many of these reports as may be written together, and whether that is all of them.
async fn portion(core: &Core, instance: &InstanceName, updates: &[StatusUpdate]) -> Result<(Reported, bool), Fault> {
    let mut planning = Planning {
        core,
        instance,
        now: core.clock.now(),
        planned: HashMap::new(),
        bytes: 0,
        is_whole: true,
        reported: Reported::default(),
    };
    if updates.is_empty() {
        return Ok((planning.reported, true));
    }
    let view = core.store.view().await?;
    for update in updates {
        if let Err(problems) = planning.take(&*view, update).await? {
            planning.reported.refused.push((update.external_ref.clone(), problems));
        }
    }
    Ok((planning.reported, planning.is_whole))
}

struct Planning<'a> {
    core: &'a Core,
    instance: &'a InstanceName,
    now: Time,
    /// Reports of this very call, by the item that they are about.
    planned: HashMap<FeedbackId, HashSet<Key>>,
    /// Of the reports that are planned, their rows.
    bytes: usize,
    /// Whether nothing was left for another transaction.
    is_whole: bool,
    reported: Reported,
}

/// What is done with a report, or everything that is wrong with it.
type Taken = Result<Result<(), Vec<FieldProblem>>, Fault>;

impl Planning<'_> {
    async fn take(&mut self, view: &dyn View, update: &StatusUpdate) -> Taken {
        let report = match Report::read(update, self.now) {
            Ok(report) => report,
            Err(problems) => return Ok(Err(problems)),
        };
        let hash = index::hash(self.core, self.instance, &report.reference);
        let called = keys::called_so(self.instance, hash);
        let items = view.scan(called, Order::Ascending, ITEMS_MAX + 1).await?.rows;
        if items.is_empty() {
            return Ok(Err(vec![self.unknown(view).await?]));
        }
        if items.len() > ITEMS_MAX {
            let message = format!("more than {ITEMS_MAX} items are called so, and a report would be about all of them");
            return Ok(Err(vec![FieldProblem::new("external_ref", message)]));
        }
        let mut problems = Vec::new();
        for item in &items {
            problems.extend(self.keep(view, &report, item, hash).await?);
        }
        Ok(if problems.is_empty() { Ok(()) } else { Err(problems) })
    }

    /// That nothing is called so. Where something waits for this department, or is with it at this moment, that may change.
    async fn unknown(&mut self, view: &dyn View) -> Result<FieldProblem, Fault> {
        let waiting = view.scan(keys::outbox_of(self.instance), Order::Ascending, 1).await?;
        self.reported.may_be_early |= !waiting.rows.is_empty();
        self.reported.unknown += 1;
        let message = "no item that this instance was handed, and that is still kept, is called so";
        Ok(FieldProblem::new("external_ref", message))
    }

    /// Keeps a report about one item. A repeat writes nothing. Answers why it cannot be kept.
    async fn keep(
        &mut self,
        view: &dyn View,
        report: &Report,
        item: &Row,
        hash: [u8; 16],
    ) -> Result<Option<FieldProblem>, Fault> {
        let problem = |message: &str| Ok(Some(FieldProblem::new("external_ref", message)));
        let Some(feedback) = keys::last_id(&item.key).map(FeedbackId::from_bytes) else {
            return Ok(None);
        };
        let Ok(contact) = rows::decode::<ContactId>("what an item is called", &item.value.bytes) else {
            return problem("the hub's row by which the item is found is damaged; run: mihwar doctor --rebuild");
        };
        let place = keys::report(feedback, self.instance, report.changed_at, &report.state);
        let planned = self.planned.entry(feedback).or_default();
        if planned.contains(&place) || view.get(&place).await?.is_some() {
            self.reported.repeated += 1;
            return Ok(None);
        }
        if planned.len() + count(view, keys::reports_by(feedback, self.instance)).await? >= REPORTS_MAX {
            return problem("as many reports of this item are kept as may be, and no more");
        }
        if self.bytes >= TOGETHER_BYTES_MAX {
            self.is_whole = false;
            return Ok(None);
        }
        let Some((words, commitment)) = words(self.core, view, report, &place, contact).await? else {
            return problem("the hub's key of the item's contact is gone or damaged; run: mihwar ledger verify");
        };
        planned.insert(place.clone());
        let rider = &mut self.reported.rider;
        // Gone with the item: then nothing may be written about it.
        rider.guards.push(Guard::At(item.key.clone(), item.value.version));
        rider.guards.push(Guard::Absent(place.clone()));
        // Written again, so that whoever destroys the item at this moment looks again.
        let name = keys::name_of(feedback, self.instance, hash);
        rider.edits.push(Edit::Put(name, Vec::new()));
        let row = rows::encode(&ReportRow { contact, words })?;
        self.bytes += row.len();
        rider.edits.push(Edit::Put(place, row));
        rider.events.push(Event {
            at: self.now,
            actor: Actor::Instance(self.instance.clone()),
            body: EventBody::StatusReported(StatusReported {
                feedback,
                destination: self.instance.clone(),
                state: report.state.clone(),
                changed_at: report.changed_at,
                commitment,
            }),
        });
        self.reported.kept += 1;
        Ok(None)
    }
}

/// What came with a report, sealed for the contact, and its commitment; nothing where there is no key to seal it with.
async fn words(
    core: &Core,
    view: &dyn View,
    report: &Report,
    place: &Key,
    contact: ContactId,
) -> Result<Option<(Vec<u8>, Option<[u8; 32]>)>, Fault> {
    let Some(content) = &report.content else {
        return Ok(Some((Vec::new(), None)));
    };
    let contact_keys = core.contact_keys(view, vec![contact]).await?;
    let Some(key) = contact_keys.usable(contact) else {
        return Ok(None);
    };
    let (words, commitment) = sealed(core, key, place, content)?;
    Ok(Some((words, Some(commitment))))
}

/// How many rows there are; counting ends where there are too many.
async fn count(view: &dyn View, range: KeyRange) -> Result<usize, Fault> {
    let (mut rows, mut range) = (0, Some(range));
    while let Some(next) = range.filter(|_| rows < REPORTS_MAX) {
        let page = view.scan(next, Order::Ascending, REPORTS_MAX).await?;
        rows += page.rows.len();
        range = page.next;
    }
    Ok(rows)
}
