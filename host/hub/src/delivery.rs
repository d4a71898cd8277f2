//! Delivery: what routing put into the outbox is handed to department instances. The outbox is rows in
//! the store; a restart changes nothing. Order is kept per contact and destination; a dead letter steps
//! aside and the rest go on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{
    Actor, Attempted, ContactId, DeadLettered, Delivered, DeliveryId, EventBody, FeedbackId, InstanceName, Skipped,
    Time,
};
use mihwar_sandbox::contract::destination::{Ack, AckState, Delivery, Event as DeliveryEvent};
use mihwar_sandbox::contract::types::PluginError;
use mihwar_sandbox::{CallError, CallFailure};
use mihwar_store::{Batch, Edit, Guard, Order, View};
use tokio_util::sync::CancellationToken;

use crate::config::Retry;
use crate::convert;
use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::keys;
use crate::lent;
use crate::projection;
use crate::query;
use crate::rows::{self, DeadRow, OutboxRow, ReferenceContent};

/// Outbox rows looked at in one go.
const LOOK_AHEAD: usize = 1000;
/// Longest sleep before the outbox is looked at again.
const IDLE: Duration = Duration::from_secs(5);

/// Delivers to one department until told to stop or until the department is configured away.
pub(crate) async fn run(shared: Arc<Shared>, destination: InstanceName, stop: CancellationToken) {
    loop {
        let Some(running) = shared.instances().get(&destination) else {
            return;
        };
        let woken = shared.core.wake.deliveries.notified();
        let pause = match step(&shared, &running).await {
            Ok(Step::Worked) => {
                if stop.is_cancelled() {
                    return;
                }
                continue;
            }
            Ok(Step::Idle(pause)) => pause.min(IDLE),
            Err(Fault::Busy { retry_after }) => retry_after,
            Err(Fault::Contended) => Duration::from_millis(10),
            Err(error) => {
                tracing::error!(%destination, "deliveries stand still: {error}");
                Duration::from_secs(2)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What one look at the outbox came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was delivered or failed: look again.
    Worked,
    /// Nothing is due before this much time.
    Idle(Duration),
}

/// A delivery that is due.
#[derive(Debug, Clone)]
struct Due {
    delivery: DeliveryId,
    version: u64,
    row: OutboxRow,
}

/// Looks at the outbox of one department and hands over one batch.
pub(crate) async fn step(shared: &Shared, department: &Arc<Running>) -> Result<Step, Fault> {
    if department.record.counts().paused.is_some() {
        return Ok(Step::Idle(IDLE));
    }
    let core = &shared.core;
    let view = core.store.view().await?;
    let now = core.clock.now();
    let (due, next) = due(&*view, &department.name, now, department.config.batch).await?;
    if due.is_empty() {
        let pause = next.map_or(IDLE, |next| {
            Duration::from_millis(u64::try_from(next.0 - now.0).unwrap_or(0))
        });
        return Ok(Step::Idle(pause));
    }
    drop(view);
    // What a department sees is the record with all that enrichers found: the read models must have seen that.
    projection::catch_up(core).await?;
    let view = core.store.view().await?;
    let (batch, gone, owners) = prepare(core, &*view, department, &due).await?;
    drop(view);
    let mut outcomes: HashMap<DeliveryId, Outcome> = gone.into_iter().map(|id| (id, Outcome::Gone)).collect();
    if !batch.is_empty() {
        let attachments = lent::Attachments {
            core: core.clone(),
            owners,
        };
        let call = lent::call(core, &department.name, Arc::new(attachments));
        let result = department.sandbox.deliver(batch, call).await;
        department.note(core.clock.now(), "deliver", &result);
        let state = match &result {
            Ok(done) => lent::state_edits(core, &department.name, &done.effects)?,
            Err(_) => Vec::new(),
        };
        judge(department, result.map(|done| done.value), &due, &mut outcomes);
        settle(core, department, due, outcomes, state).await?;
    } else {
        settle(core, department, due, outcomes, Vec::new()).await?;
    }
    core.wake.projector.notify_one();
    Ok(Step::Worked)
}

/// Due deliveries, oldest first, at most one per contact that has an earlier one still waiting; and the
/// time at which the next one becomes due.
async fn due(
    view: &dyn View,
    destination: &InstanceName,
    now: Time,
    most: usize,
) -> Result<(Vec<Due>, Option<Time>), Fault> {
    let page = view
        .scan(keys::outbox_of(destination), Order::Ascending, LOOK_AHEAD)
        .await?;
    let (mut due, mut held, mut next) = (Vec::new(), HashSet::new(), None::<Time>);
    let mut batch_contacts = HashSet::new();
    for row in page.rows {
        let outbox: OutboxRow = rows::decode("an outbox row", &row.value.bytes)?;
        let Some(id) = keys::last_id(&row.key) else {
            continue;
        };
        let contact = outbox.contact;
        if held.contains(&contact) {
            continue;
        }
        if outbox.due > now {
            held.insert(contact);
            next = Some(next.map_or(outbox.due, |next| next.min(outbox.due)));
            continue;
        }
        // A second one of the same contact waits until the first is known to have arrived.
        if !batch_contacts.insert(contact) {
            continue;
        }
        due.push(Due {
            delivery: DeliveryId::from_bytes(id),
            version: row.value.version,
            row: outbox,
        });
        if due.len() >= most {
            break;
        }
    }
    Ok((due, next))
}

type Prepared = (Vec<Delivery>, Vec<DeliveryId>, HashMap<String, ContactId>);

async fn prepare(core: &Core, view: &dyn View, department: &Running, due: &[Due]) -> Result<Prepared, Fault> {
    let (mut batch, mut gone, mut owners) = (Vec::with_capacity(due.len()), Vec::new(), HashMap::new());
    let heads = query::heads(view, due.iter().map(|due| due.row.feedback).collect()).await?;
    for due in due {
        let row = &due.row;
        let content = core.content(view, row.feedback, row.revision, row.contact).await?;
        let Some(opened) = content else {
            gone.push(due.delivery);
            continue;
        };
        let head = heads.get(&row.feedback).ok_or_else(|| Fault::Damaged {
            what: "a read model",
            detail: format!("feedback {} has a delivery but no facts", row.feedback),
        })?;
        for attachment in opened.content.attachments.iter().filter_map(|a| a.id) {
            owners.insert(attachment.to_string(), row.contact);
        }
        let stored = convert::stored(head, &opened.content, department.fields);
        let reference = reference(core, view, row.feedback, row.contact, &department.name).await?;
        batch.push(Delivery {
            id: due.delivery.to_string(),
            attempt: row.attempts + 1,
            event: if row.revision > 1 {
                DeliveryEvent::Updated(stored)
            } else {
                DeliveryEvent::Created(stored)
            },
            external_ref: reference.map(|content| content.reference),
        });
    }
    Ok((batch, gone, owners))
}

/// The reference that the department gave earlier for this feedback.
pub(crate) async fn reference(
    core: &Core,
    view: &dyn View,
    feedback: FeedbackId,
    contact: ContactId,
    destination: &InstanceName,
) -> Result<Option<ReferenceContent>, Fault> {
    let Some(row) = view.get(&keys::reference(feedback, destination)).await? else {
        return Ok(None);
    };
    let keys = core.contact_keys(view, vec![contact]).await?;
    let Some(key) = keys.get(&contact) else {
        return Ok(None);
    };
    let plain = core
        .vault
        .open_for(key, &reference_place(feedback, destination), &row.bytes)?;
    let (_salt, content) = plain
        .split_first_chunk::<32>()
        .ok_or(crate::vault::VaultError::Unreadable { what: "a reference" })?;
    rows::decode("a reference", content).map(Some)
}

fn reference_place(feedback: FeedbackId, destination: &InstanceName) -> Vec<u8> {
    [
        b"reference".as_slice(),
        &feedback.to_bytes(),
        destination.as_str().as_bytes(),
    ]
    .concat()
}

/// What became of one delivery.
#[derive(Debug)]
enum Outcome {
    Delivered {
        reference: Option<String>,
        url: Option<String>,
    },
    Skipped,
    Retry {
        code: String,
        after: Option<Duration>,
        counts: bool,
        reason: String,
    },
    Dead {
        code: String,
        reason: String,
    },
    /// Its content was withdrawn or erased meanwhile.
    Gone,
}

fn judge(
    department: &Running,
    result: Result<Vec<Ack>, CallError>,
    due: &[Due],
    outcomes: &mut HashMap<DeliveryId, Outcome>,
) {
    match result {
        Ok(acks) => {
            for ack in acks {
                let Ok(id) = ack.id.parse::<DeliveryId>() else {
                    continue;
                };
                let outcome = match ack.state {
                    AckState::Delivered(done) => Outcome::Delivered {
                        reference: done.external_ref,
                        url: done.url,
                    },
                    AckState::Skipped(_) => Outcome::Skipped,
                    AckState::Failed(error) => plugin_error(department, error),
                };
                outcomes.entry(id).or_insert(outcome);
            }
            // A plugin that ran out of time leaves the rest without an ack; that is no failure of theirs.
            let some_acked = !outcomes.is_empty();
            for due in due {
                outcomes.entry(due.delivery).or_insert_with(|| Outcome::Retry {
                    code: "no-ack".into(),
                    after: None,
                    counts: !some_acked,
                    reason: "the plugin said nothing about this delivery".into(),
                });
            }
        }
        Err(error) => {
            let whole = |error: CallError| match *error.failure {
                CallFailure::Plugin(error) => plugin_error(department, error),
                CallFailure::Busy { waited, .. } => Outcome::Retry {
                    code: "busy".into(),
                    after: Some(waited),
                    counts: false,
                    reason: String::new(),
                },
                failure => Outcome::Retry {
                    code: failure.code().into(),
                    after: None,
                    counts: true,
                    reason: failure.to_string(),
                },
            };
            let outcome = whole(error);
            for due in due {
                outcomes.entry(due.delivery).or_insert_with(|| outcome.again());
            }
        }
    }
}

impl Outcome {
    /// The same outcome for another delivery of a batch that failed as a whole.
    fn again(&self) -> Self {
        match self {
            Self::Retry {
                code,
                after,
                counts,
                reason,
            } => Self::Retry {
                code: code.clone(),
                after: *after,
                counts: *counts,
                reason: reason.clone(),
            },
            Self::Dead { code, reason } => Self::Dead {
                code: code.clone(),
                reason: reason.clone(),
            },
            Self::Delivered { .. } | Self::Skipped | Self::Gone => Self::Skipped,
        }
    }
}

/// The error variant drives the hub: wait, pause, or set aside.
fn plugin_error(department: &Running, error: PluginError) -> Outcome {
    let failure = CallFailure::Plugin(error);
    let (code, reason) = (failure.code().to_owned(), failure.to_string());
    let CallFailure::Plugin(error) = failure else {
        return Outcome::Dead { code, reason };
    };
    let after = |millis: Option<u64>| millis.map(Duration::from_millis);
    match error {
        PluginError::Transient(retry) => Outcome::Retry {
            code,
            after: after(retry.after_ms),
            counts: true,
            reason,
        },
        PluginError::RateLimited(retry) => Outcome::Retry {
            code,
            after: after(retry.after_ms),
            counts: false,
            reason,
        },
        PluginError::Permanent(_) | PluginError::Unsupported(_) => Outcome::Dead { code, reason },
        PluginError::Unauthorized(_) | PluginError::Misconfigured(_) => {
            tracing::error!(instance = %department.name, code, "paused until its configuration changes: {reason}");
            department.record.pause(Some(reason.clone()));
            Outcome::Retry {
                code,
                after: None,
                counts: false,
                reason,
            }
        }
    }
}

async fn settle(
    core: &Core,
    department: &Running,
    due: Vec<Due>,
    mut outcomes: HashMap<DeliveryId, Outcome>,
    state: Vec<Edit>,
) -> Result<(), Fault> {
    let view = core.store.view().await?;
    let keys = core
        .contact_keys(&*view, due.iter().map(|due| due.row.contact).collect())
        .await?;
    let now = core.clock.now();
    let mut batch = Batch {
        edits: state,
        ..Batch::default()
    };
    for due in due {
        let Some(outcome) = outcomes.remove(&due.delivery) else {
            continue;
        };
        let key = keys::outbox(&department.name, due.delivery);
        batch.guards.push(Guard::At(key, due.version));
        let contact_key = keys.get(&due.row.contact);
        Settling {
            core,
            department,
            now,
            contact_key,
            batch: &mut batch,
        }
        .settle(due, outcome)?;
    }
    // What the department already has must not be forgotten because the writer is busy for a moment.
    core.apply_patiently(batch).await
}

struct Settling<'a> {
    core: &'a Core,
    department: &'a Running,
    now: Time,
    contact_key: Option<&'a crate::vault::ContactKey>,
    batch: &'a mut Batch,
}

impl Settling<'_> {
    fn settle(&mut self, due: Due, outcome: Outcome) -> Result<(), Fault> {
        let (delivery, feedback) = (due.delivery, due.row.feedback);
        let destination = self.department.name.clone();
        let attempt = due.row.attempts + 1;
        let body = match outcome {
            Outcome::Delivered { reference, url } => {
                let reference = match reference {
                    Some(reference) => self.keep_reference(feedback, &ReferenceContent { reference, url })?,
                    None => None,
                };
                EventBody::Delivered(Delivered {
                    delivery,
                    feedback,
                    destination,
                    attempt,
                    reference,
                })
            }
            Outcome::Skipped | Outcome::Gone => EventBody::DeliverySkipped(Skipped {
                delivery,
                feedback,
                destination,
                attempt,
            }),
            Outcome::Retry {
                code,
                after,
                counts,
                reason,
            } => {
                let made = attempt - due.row.attempts_before_replay;
                if counts && made >= self.department.config.retry.attempts {
                    return self.dead(due, code, &reason);
                }
                return self.retry(due, code, after, counts);
            }
            Outcome::Dead { code, reason } => return self.dead(due, code, &reason),
        };
        self.batch
            .edits
            .push(Edit::Delete(keys::outbox(&self.department.name, delivery)));
        self.event(body)
    }

    fn retry(&mut self, due: Due, code: String, after: Option<Duration>, counts: bool) -> Result<(), Fault> {
        let attempt = due.row.attempts + 1;
        let made = attempt - due.row.attempts_before_replay;
        let jitter = u16::from_be_bytes(self.core.vault.random::<2>());
        let pause = backoff(self.department.config.retry, made, jitter).max(after.unwrap_or_default());
        let retry_at = self
            .now
            .plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        let key = keys::outbox(&self.department.name, due.delivery);
        // An attempt that does not count (the other side asked for a pause) leaves the schedule as it is.
        let attempts_before_replay = due.row.attempts_before_replay + u32::from(!counts);
        let body = Attempted {
            delivery: due.delivery,
            feedback: due.row.feedback,
            destination: self.department.name.clone(),
            attempt,
            code: short(code),
            retry_at,
        };
        let row = OutboxRow {
            attempts: attempt,
            due: retry_at,
            attempts_before_replay,
            ..due.row
        };
        self.batch.edits.push(Edit::Put(key, rows::encode(&row)?));
        self.event(EventBody::DeliveryFailed(body))
    }

    fn dead(&mut self, due: Due, code: String, reason: &str) -> Result<(), Fault> {
        let (delivery, feedback, attempts) = (due.delivery, due.row.feedback, due.row.attempts + 1);
        let reason = match self.contact_key {
            Some(key) => self.core.vault.seal_for(key, &delivery.to_bytes(), reason.as_bytes())?,
            None => Vec::new(),
        };
        let code = short(code);
        let entry = OutboxRow { attempts, ..due.row };
        let row = DeadRow {
            entry,
            code: code.clone(),
            reason,
            at: self.now,
        };
        let name = &self.department.name;
        self.batch.edits.push(Edit::Delete(keys::outbox(name, delivery)));
        self.batch
            .edits
            .push(Edit::Put(keys::dead(name, delivery), rows::encode(&row)?));
        let body = DeadLettered {
            delivery,
            feedback,
            destination: name.clone(),
            attempts,
            code,
        };
        self.event(EventBody::DeliveryDeadLettered(body))
    }

    fn keep_reference(&mut self, feedback: FeedbackId, content: &ReferenceContent) -> Result<Option<[u8; 32]>, Fault> {
        let Some(key) = self.contact_key else {
            return Ok(None);
        };
        let plain = rows::encode(content)?;
        let salt = self.core.vault.random::<32>();
        let salted = [salt.as_slice(), &plain].concat();
        let name = &self.department.name;
        let sealed = self
            .core
            .vault
            .seal_for(key, &reference_place(feedback, name), &salted)?;
        self.batch
            .edits
            .push(Edit::Put(keys::reference(feedback, name), sealed));
        Ok(Some(crate::vault::commitment(&salt, &plain)))
    }

    fn event(&mut self, body: EventBody) -> Result<(), Fault> {
        let actor = Actor::Instance(self.department.name.clone());
        self.batch.journal.push(self.core.event(actor, body)?);
        Ok(())
    }
}

/// A code as it stands in events: short and one line.
fn short(code: String) -> String {
    if code.len() <= 64 && !code.contains(char::is_whitespace) {
        code
    } else {
        "plugin-error".into()
    }
}

/// The pause before attempt `made + 1`: doubled each time, at most `most`, shortened by up to a fifth.
fn backoff(retry: Retry, made: u32, jitter: u16) -> Duration {
    let doubled = retry
        .first
        .saturating_mul(1_u32.checked_shl(made.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = doubled.min(retry.most);
    whole - whole.mul_f64(0.2 * f64::from(jitter) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::backoff;
    use crate::config::Retry;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let retry = Retry {
            first: Duration::from_secs(5),
            most: Duration::from_secs(3600),
            attempts: 20,
        };
        assert_eq!(backoff(retry, 1, 0), Duration::from_secs(5));
        assert_eq!(backoff(retry, 4, 0), Duration::from_secs(40));
        assert_eq!(backoff(retry, 60, 0), Duration::from_secs(3600));
        assert_eq!(backoff(retry, 1, u16::MAX), Duration::from_secs(4));
    }
}
