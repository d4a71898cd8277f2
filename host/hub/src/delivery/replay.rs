//! Deliveries sent on their way again, under the ids they had: dead letters, and those that wait for their next attempt.

use futures_util::future::join_all;
use mihwar_model::{Actor, DeliveryId, EventBody, InstanceName, Replayed, Time};
use mihwar_store::{Batch, Edit, Guard, Order, Row, View};

use super::damaged;
use super::registry::Written;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::projection;
use crate::rows::{self, DeadRow, DeliveryRow, DeliveryState, OutboxRow};

/// Rows read in one go.
const PAGE: usize = 500;

/// Which deliveries are sent on their way again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplaySelection {
    /// This dead letter.
    Id(DeliveryId),
    /// All dead letters.
    All,
    /// Those that this holds for.
    Where(ReplayFilter),
}

/// What must hold of a delivery that is sent on its way again: everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayFilter {
    /// To this department.
    pub destination: Option<InstanceName>,
    /// Its last failure has this code.
    pub code: Option<String>,
    /// This rule chose the department.
    pub rule: Option<String>,
    /// It became a dead letter at this time or later.
    pub from: Option<Time>,
    /// … and before this one.
    pub to: Option<Time>,
    /// Those that wait for their next attempt, instead of dead letters: they need not wait any longer.
    pub is_retrying: bool,
}

impl ReplayFilter {
    fn of(which: &ReplaySelection) -> Self {
        match which {
            ReplaySelection::Id(_) | ReplaySelection::All => Self::default(),
            ReplaySelection::Where(filter) => filter.clone(),
        }
    }

    /// Whether it asks for nothing that stands in a row alone.
    const fn needs_no_row(&self) -> bool {
        self.code.is_none() && self.rule.is_none() && self.from.is_none() && self.to.is_none()
    }

    fn holds_for(&self, code: Option<&str>, rule: &str, at: Option<Time>) -> bool {
        let in_time = at.is_none_or(|at| self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to));
        let by_rule = self.rule.as_ref().is_none_or(|wanted| wanted == rule);
        let by_code = self.code.as_ref().is_none_or(|wanted| code == Some(wanted));
        in_time && by_rule && by_code
    }
}

/// Sends deliveries on their way again; each that is there at the beginning once. Answers how many. A dead letter whose row
/// is damaged is made anew from the ledger; where that does not tell of it, it stays, and the others go.
pub(crate) async fn replay(core: &Core, actor: &Actor, which: &ReplaySelection) -> Result<u64, Fault> {
    let filter = ReplayFilter::of(which);
    let replayed = if filter.is_retrying {
        hurry(core, &filter).await?
    } else {
        replay_dead(core, actor, which, &filter).await?
    };
    metrics::counter!("mihwar_deliveries_replayed_total").increment(replayed);
    Ok(replayed)
}

async fn replay_dead(core: &Core, actor: &Actor, which: &ReplaySelection, filter: &ReplayFilter) -> Result<u64, Fault> {
    let mut replayed = 0;
    let mut range = Some(match &filter.destination {
        Some(name) => keys::dead_of(name),
        None => keys::all(keys::DEAD),
    });
    while let Some(next) = range {
        let page = core.store.view().await?.scan(next, Order::Ascending, PAGE).await?;
        let mut batch = Batch::default();
        for row in page.rows {
            if let Some(id) = keys::last_id(&row.key).map(DeliveryId::from_bytes)
                && !matches!(which, ReplaySelection::Id(wanted) if *wanted != id)
                && let Some(destination) = keys::dead_destination(&row.key)
            {
                match put_back(core, actor, filter, (id, destination), row, &mut batch).await {
                    Ok(true) => replayed += 1,
                    Ok(false) => {}
                    // Told whether one was asked for or all; who asked for this one hears why.
                    Err(error) if error.is_damage() && !matches!(which, ReplaySelection::Id(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if !batch.edits.is_empty() {
            apply(core, batch).await?;
        }
        range = page.next;
    }
    Ok(replayed)
}

/// Writes a batch, and tells those who deliver what is in it.
pub(super) async fn apply(core: &Core, batch: Batch) -> Result<(), Fault> {
    let written = Written::by(&batch.edits);
    let applied = core.apply_patiently(batch).await;
    core.tell_written(written);
    applied
}

/// Puts a dead letter back into the outbox, if the filter holds for it.
async fn put_back(
    core: &Core,
    actor: &Actor,
    filter: &ReplayFilter,
    (delivery, destination): (DeliveryId, InstanceName),
    row: Row,
    batch: &mut Batch,
) -> Result<bool, Fault> {
    let entry = match damaged::dead_entry(&row.value.bytes) {
        Ok(dead) if !filter.holds_for(Some(&dead.code), &dead.entry.rule, Some(dead.at)) => return Ok(false),
        Ok(dead) => afresh(dead, core.clock.now()),
        // When and why is not known any more.
        Err(_) if !filter.needs_no_row() => return Ok(false),
        Err(detail) => match damaged::as_told(core, &destination, delivery).await {
            Ok(Some((entry, DeliveryState::Dead))) => {
                tracing::error!(%delivery, %destination, "a dead letter's row is damaged, and made anew from the ledger: {detail}");
                entry
            }
            Err(error) if !error.is_damage() => return Err(error),
            _ => {
                let what = "a dead letter";
                core.passed_over.note(&row.key, what, &detail);
                return Err(Fault::Damaged { what, detail });
            }
        },
    };
    let feedback = entry.feedback;
    batch.guards.push(Guard::At(row.key.clone(), row.value.version));
    batch.edits.push(Edit::Delete(row.key));
    batch
        .edits
        .push(Edit::Put(keys::outbox(&destination, delivery), rows::encode(&entry)?));
    let body = Replayed {
        delivery,
        feedback,
        destination,
    };
    batch
        .journal
        .push(core.event(actor.clone(), EventBody::DeliveryReplayed(body))?);
    Ok(true)
}

/// The outbox row of a dead letter: due at once, with the whole schedule before it again.
fn afresh(dead: DeadRow, now: Time) -> OutboxRow {
    OutboxRow {
        due: now,
        attempts_before_replay: dead.entry.attempts,
        ..dead.entry
    }
}

/// Lets deliveries that wait for their next attempt wait no longer, with the whole schedule before them again. When one is
/// due is nothing that the ledger tells of.
async fn hurry(core: &Core, filter: &ReplayFilter) -> Result<u64, Fault> {
    projection::catch_up(core).await?;
    let mut hurried = 0;
    let mut range = Some(match &filter.destination {
        Some(name) => keys::outbox_of(name),
        None => keys::all(keys::OUTBOX),
    });
    while let Some(next) = range {
        let view = core.store.view().await?;
        let page = view.scan(next, Order::Ascending, PAGE).await?;
        let mut batches = Vec::new();
        for row in page.rows {
            batches.extend(hurried_row(core, &*view, filter, row).await?);
        }
        drop(view);
        // One by one: one that has just come to its end takes no other with it.
        let applied = batches.into_iter().map(|batch| apply(core, batch));
        for applied in join_all(applied).await {
            match applied {
                Ok(()) => hurried += 1,
                Err(Fault::Contended) => {}
                Err(error) => return Err(error),
            }
        }
        range = page.next;
    }
    Ok(hurried)
}

/// What makes a delivery due at once, if it waits and the filter holds for it.
async fn hurried_row(core: &Core, view: &dyn View, filter: &ReplayFilter, row: Row) -> Result<Option<Batch>, Fault> {
    let now = core.clock.now();
    let Ok(entry) = damaged::waiting_entry(&row.value.bytes) else {
        return Ok(None);
    };
    let Some(delivery) = keys::last_id(&row.key).map(DeliveryId::from_bytes) else {
        return Ok(None);
    };
    if entry.attempts == 0 || entry.due <= now {
        return Ok(None);
    }
    let told = view.get(&keys::delivery(delivery)).await?;
    let told = told.and_then(|told| rows::decode::<DeliveryRow>("a read model", &told.bytes).ok());
    let code = told.and_then(|told| told.last_code);
    if !filter.holds_for(code.as_deref(), &entry.rule, None) {
        return Ok(None);
    }
    let sooner = OutboxRow {
        due: now,
        attempts_before_replay: entry.attempts,
        ..entry
    };
    Ok(Some(Batch {
        guards: vec![Guard::At(row.key.clone(), row.value.version)],
        edits: vec![Edit::Put(row.key, rows::encode(&sooner)?)],
        ..Batch::default()
    }))
}

#[cfg(test)]
mod tests {
    use mihwar_model::Time;

    use super::ReplayFilter;

    #[test]
    fn everything_that_is_given_must_hold() {
        let filter = ReplayFilter {
            code: Some("http-422".into()),
            rule: Some("شكاوى".into()),
            from: Some(Time(1_000)),
            to: Some(Time(2_000)),
            ..ReplayFilter::default()
        };
        let holds = |code, rule, at| filter.holds_for(code, rule, Some(Time(at)));
        assert!(holds(Some("http-422"), "شكاوى", 1_000));
        assert!(!holds(Some("http-404"), "شكاوى", 1_500) && !holds(None, "شكاوى", 1_500));
        assert!(!holds(Some("http-422"), "default", 1_500));
        assert!(!holds(Some("http-422"), "شكاوى", 2_000) && !holds(Some("http-422"), "شكاوى", 999));
        assert!(ReplayFilter::default().holds_for(None, "default", None));
    }
}
