//! What must be true when all is quiet, judged from outside: by what sources were told, what departments hold, and what
//! the hub says.

use std::collections::{BTreeMap, BTreeSet};

use mihwar_hub::{DeliveryFilter, DeliveryRecord, DeliveryState, FeedbackFilter, FeedbackRecord, Hub, QueryError};
use mihwar_model::EventBody;
use tokio::sync::mpsc;

use crate::clients::{KIOSK, NOTES};
use crate::script::NoteChange;
use crate::world::World;

/// Everything that the hub has.
struct Found {
    records: Vec<FeedbackRecord>,
    deliveries: Vec<DeliveryRecord>,
}

impl Found {
    async fn read(hub: &Hub) -> Result<Self, QueryError> {
        let mut found = Self {
            records: Vec::new(),
            deliveries: Vec::new(),
        };
        let mut cursor: Option<String> = None;
        loop {
            let page = hub
                .feedback_page(&FeedbackFilter::default(), cursor.as_deref(), 7)
                .await?;
            found.records.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        loop {
            let page = hub
                .delivery_page(&DeliveryFilter::default(), cursor.as_deref(), 11)
                .await?;
            found.deliveries.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// The records whose text begins so.
    fn texts<'a>(&'a self, begin: &str) -> impl Iterator<Item = (&'a FeedbackRecord, &'a str)> {
        self.records.iter().filter_map(move |record| {
            let text = record.content.as_ref()?.body.as_str();
            text.starts_with(begin).then_some((record, text))
        })
    }
}

/// What is still to come, if anything.
pub(crate) async fn missing(world: &World, hub: &Hub) -> Result<Option<String>, QueryError> {
    if !world.state().books.all_over() {
        return Ok(Some("sources still wait for an answer".to_owned()));
    }
    let found = Found::read(hub).await?;
    for (number, hook) in world.script.hooks.iter().enumerate() {
        let acknowledged = world.state().books.hook(number).acknowledged;
        if acknowledged && found.texts(&hook.text).next().is_none() {
            return Ok(Some(format!("the record of request {number}")));
        }
    }
    let pages_taken = world.state().neighbours.pages_taken;
    if pages_taken < world.script.pages.len() {
        return Ok(Some(format!("pages behind {pages_taken}")));
    }
    let open = found
        .deliveries
        .iter()
        .find(|delivery| !matches!(delivery.state, DeliveryState::Delivered | DeliveryState::Skipped));
    if let Some(open) = open {
        return Ok(Some(format!(
            "delivery {} to {}: {:?}, next {:?}",
            open.delivery, open.destination, open.state, open.next_attempt
        )));
    }
    for record in &found.records {
        let unrouted = routed(hub, record).await?.len() < usize::try_from(record.head.revision).unwrap();
        if unrouted && !record.head.withdrawn {
            return Ok(Some(format!("the way of {}", record.head.feedback)));
        }
    }
    Ok(None)
}

/// Revisions that were routed, and to how many departments.
async fn routed(hub: &Hub, record: &FeedbackRecord) -> Result<BTreeMap<u32, Vec<String>>, QueryError> {
    let mut routed = BTreeMap::new();
    for event in hub.feedback_history(record.head.feedback).await? {
        if let EventBody::Routed(body) = event.event.body {
            let to = body.routes.iter().map(|route| route.destination.to_string()).collect();
            if routed.insert(body.revision, to).is_some() {
                // An impossible number tells it without another type.
                routed.insert(u32::MAX, Vec::new());
            }
        }
    }
    Ok(routed)
}

/// The notes of all pages as they stand at the end; none for one that was taken back.
fn expected_notes(world: &World) -> BTreeMap<usize, Option<String>> {
    let mut notes = BTreeMap::new();
    for change in world.script.pages.iter().flat_map(|page| &page.changes) {
        match change {
            NoteChange::Said { note, revision } => notes.insert(*note, Some(NoteChange::text(*note, *revision))),
            NoteChange::Erased { note } => notes.insert(*note, None),
        };
    }
    notes
}

/// Judges everything.
pub(crate) async fn audit(world: &World, hub: &Hub) {
    let found = match Found::read(hub).await {
        Ok(found) => found,
        Err(error) => return world.violation(format!("the hub does not answer: {error}")),
    };
    {
        let counts = &mut world.state().counts;
        counts.records += found.records.len() as u64;
        counts.deliveries += found.deliveries.len() as u64;
    }
    audit_sayings(world, &found);
    audit_channel(world, &found);
    audit_deliveries(world, &found);
    for record in &found.records {
        if let Err(error) = audit_way(world, hub, record, &found).await {
            world.violation(format!("the hub does not answer: {error}"));
        }
    }
    audit_hub(world, hub).await;
}

/// Every item that was acknowledged is there once, as it was last acknowledged; nothing else is.
fn audit_sayings(world: &World, found: &Found) {
    let sayings: Vec<_> = {
        let state = world.state();
        let told = state.books.sayings.clone();
        world.script.sayings.iter().cloned().zip(told).collect()
    };
    let items: BTreeSet<usize> = sayings.iter().map(|(saying, _)| saying.item).collect();
    let mut known = 0;
    for item in items {
        let mine: Vec<_> = sayings.iter().filter(|(saying, _)| saying.item == item).collect();
        let records: Vec<_> = found.texts(&format!("بند {item} ")).collect();
        known += records.len();
        let acknowledged = mine.iter().filter(|(_, told)| told.acknowledged.is_some()).count();
        let possible = mine
            .iter()
            .filter(|(_, told)| told.acknowledged.is_some() || told.maybe)
            .count();
        let [(record, text)] = records.as_slice() else {
            if records.len() > 1 || acknowledged > 0 {
                world.violation(format!(
                    "item {item} is there {} times, {acknowledged} of its revisions were acknowledged",
                    records.len()
                ));
            }
            continue;
        };
        let revisions = usize::try_from(record.head.revision).unwrap();
        if !(acknowledged..=possible).contains(&revisions) {
            world.violation(format!(
                "item {item} has {revisions} revisions, not {acknowledged} to {possible}"
            ));
        }
        for (saying, told) in &mine {
            let Some((feedback, revision)) = told.acknowledged else {
                if !told.maybe && *text == saying.text() {
                    world.violation(format!("{text:?} is there although it was never taken in"));
                }
                continue;
            };
            if feedback != record.head.feedback || revision > record.head.revision {
                world.violation(format!("{text:?} was acknowledged as {feedback} revision {revision}"));
            }
            if (revision == record.head.revision) != (*text == saying.text()) {
                world.violation(format!(
                    "revision {revision} of item {item} is {:?}, and {text:?} is there",
                    saying.text()
                ));
            }
        }
    }
    let all = found.records.iter();
    let all = all.filter(|record| record.head.instance.as_str() == KIOSK).count();
    if all != known {
        world.violation(format!("{all} records of the kiosk, of which {known} were ever sent"));
    }
}

/// Every request that was acknowledged became one record, and every page was taken once and in order.
fn audit_channel(world: &World, found: &Found) {
    let mut expected = 0;
    for (number, hook) in world.script.hooks.iter().enumerate() {
        let attempts = world.state().books.hook(number).clone();
        let there = found.texts(&hook.text).count() as u64;
        let least = u64::from(attempts.acknowledged);
        if !(least..=least + attempts.maybe).contains(&there) {
            world.violation(format!(
                "request {number} is there {there} times, not {least} to {}",
                least + attempts.maybe
            ));
        }
        expected += there;
    }
    let notes = expected_notes(world);
    for (note, text) in &notes {
        let there: Vec<_> = found.texts(&format!("ملاحظة {note} ")).map(|(_, text)| text).collect();
        if there != text.iter().map(String::as_str).collect::<Vec<_>>() {
            world.violation(format!("note {note} should be {text:?} and is {there:?}"));
        }
    }
    let withdrawn = notes.values().filter(|text| text.is_none()).count();
    let gone = found.records.iter().filter(|record| record.head.withdrawn);
    for record in gone.clone().filter(|record| record.content.is_some()) {
        world.violation(format!("{} was withdrawn and can be read", record.head.feedback));
    }
    if gone.count() != withdrawn {
        world.violation(format!("not {withdrawn} records are withdrawn"));
    }
    let all = found.records.iter();
    let all = all.filter(|record| record.head.instance.as_str() == NOTES).count() as u64;
    expected += notes.len() as u64;
    if all != expected {
        world.violation(format!("{all} records of the channel, not {expected}"));
    }
}

/// What departments hold and what the ledger says is the same.
fn audit_deliveries(world: &World, found: &Found) {
    let handed = world.state().neighbours.handed.clone();
    let ledger: BTreeMap<(String, String), &DeliveryRecord> = found
        .deliveries
        .iter()
        .map(|delivery| {
            (
                (delivery.destination.to_string(), delivery.delivery.to_string()),
                delivery,
            )
        })
        .collect();
    for ((department, id), handed) in &handed {
        // One that nobody reached is none.
        if handed.attempts == 0 {
            continue;
        }
        match ledger.get(&(department.clone(), id.clone())) {
            None => world.violation(format!(
                "{department} was handed {id}, of which the ledger knows nothing"
            )),
            Some(delivery) if delivery.feedback.to_string() != handed.feedback => {
                world.violation(format!("{department} was handed {id} about {}", handed.feedback));
            }
            Some(_) => {}
        }
    }
    for ((department, id), delivery) in &ledger {
        let worked = handed
            .get(&(department.clone(), id.clone()))
            .is_some_and(|handed| handed.work.is_some());
        let withdrawn = || {
            let mut heads = found.records.iter().map(|record| &record.head);
            heads.any(|head| head.feedback == delivery.feedback && head.withdrawn)
        };
        let right = match delivery.state {
            DeliveryState::Delivered => worked,
            DeliveryState::Skipped => withdrawn(),
            _ => false,
        };
        if !right {
            world.violation(format!(
                "{department} has {} {id}, which the ledger says is {:?}",
                if worked { "done" } else { "not done" },
                delivery.state
            ));
        }
    }
}

/// Each revision was routed once and went to whom the rules name, and the last thing that each department did is by the
/// text as it stands.
async fn audit_way(world: &World, hub: &Hub, record: &FeedbackRecord, found: &Found) -> Result<(), QueryError> {
    let head = &record.head;
    let routed = routed(hub, record).await?;
    let revisions: Vec<u32> = (1..=head.revision).collect();
    if !head.withdrawn && !routed.keys().eq(&revisions) {
        world.violation(format!(
            "{} has {} revisions and was routed for {routed:?}",
            head.feedback, head.revision
        ));
    }
    for (department, rule) in [
        ("shop", true),
        ("care", head.kind.is_some_and(|kind| kind.as_str() == "complaint")),
    ] {
        let routes = routed.values().flatten().filter(|to| *to == department).count();
        let deliveries = found
            .deliveries
            .iter()
            .filter(|delivery| delivery.feedback == head.feedback && delivery.destination.as_str() == department);
        // Nobody else gets it either: what no rule names for a department never goes there.
        let expected = if rule { routed.len() } else { 0 };
        if deliveries.count() != routes || routes != expected {
            world.violation(format!(
                "{} was routed {routes} times to {department}, not {expected}",
                head.feedback
            ));
        }
        let Some(content) = record.content.as_ref().filter(|_| rule) else {
            continue;
        };
        let last = {
            let state = world.state();
            let of = |(key, handed): &(&(String, String), &crate::network::Handed)| {
                key.0 == department && handed.feedback == head.feedback.to_string()
            };
            let works = state.neighbours.handed.iter().filter(of);
            works.filter_map(|(_, handed)| handed.work.clone()).max()
        };
        if last.as_ref().is_none_or(|(_, text)| *text != content.body) {
            world.violation(format!(
                "{department} goes by {last:?} where {:?} is the newest",
                content.body
            ));
        }
    }
    Ok(())
}

/// The ledger verifies, read models are what it folds to, and no worker has fallen.
async fn audit_hub(world: &World, hub: &Hub) {
    let (progress, _told) = mpsc::channel(8);
    match hub.verify(progress).await {
        Ok(report) => {
            world.trace(format!("the ledger has {} events, root {}", report.events, report.root));
            let mut state = world.state();
            state.counts.events += report.events;
            state.ledger = Some((report.events, report.root));
            drop(state);
            if !report.ok || report.deliveries_open > 0 {
                world.violation(format!(
                    "verification finds {:?}, {} open",
                    report.findings, report.deliveries_open
                ));
            }
        }
        Err(error) => world.violation(format!("verification fails: {error}")),
    }
    for check in hub.readiness().await {
        if !check.ok {
            world.violation(format!("{} is not well: {}", check.name, check.detail));
        }
    }
}

/// The ledger is the one that was audited, to the last entry.
pub(crate) async fn look_back(world: &World, hub: &Hub) {
    let (progress, _told) = mpsc::channel(8);
    let audited = world.state().ledger.clone();
    match hub.verify(progress).await {
        Ok(report) if report.ok && audited == Some((report.events, report.root.clone())) => {}
        Ok(report) => world.violation(format!(
            "the ledger was {audited:?}, and after closing it is {report:?}"
        )),
        Err(error) => world.violation(format!("verification fails after closing: {error}")),
    }
}
