//! Enrichment and routing: what was received is read by the enrichers and given to those whom the rules
//! choose. All that comes of a batch is one transaction: the enrichers' events, the routing decisions,
//! the deliveries they cause, and the removal from the queue.

mod aside;
mod loading;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{Actor, Content, DeliveryId, EnrichmentFailed, EventBody, InstanceName, Route, Routed, Time};
use mihwar_sandbox::contract::processor::{Edit as PluginEdit, Verdict};
use mihwar_sandbox::{CallFailure, Effects};
use mihwar_store::{Batch, Edit, Guard, Key};
use tokio_util::sync::CancellationToken;

use crate::convert;
use crate::core::Core;
use crate::delivery::Written;
use crate::enrichment;
use crate::fault::{Fault, event_code};
use crate::hub::Shared;
use crate::instances::{Instances, Running};
use crate::keys;
use crate::lent;
use crate::routing::{Decided, RuleSet};
use crate::rows::{self, Head, OutboxRow};

pub(crate) use aside::Aside;
pub(crate) use loading::entries_of;
use loading::{Loaded, load, queued};

/// Records read in one go.
const RECORDS_MAX: usize = 256;
/// Records that waited longer than this, in milliseconds, share the time with intake by halves.
const LATE_MS: i64 = 30_000;

/// Works the queue off until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let (mut most, mut aside) = (RECORDS_MAX, Aside::default());
    while !stop.is_cancelled() {
        let started = tokio::time::Instant::now();
        let now = most.min(shared.core.step_size(RECORDS_MAX));
        let pause = match step(&shared, now, &mut aside).await {
            Ok(Step { records: 0, .. }) => Duration::from_secs(1),
            Ok(Step { oldest, .. }) => {
                most = RECORDS_MAX;
                let waited = shared.core.clock.now().0.saturating_sub(oldest.0);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = shared.core.give_way(started.elapsed(), waited > LATE_MS) => {}
                }
                continue;
            }
            Err(Fault::TooLarge(_)) if most > 1 => {
                most = (now / 4).max(1);
                continue;
            }
            Err(Fault::Contended) => continue,
            Err(Fault::Busy { retry_after }) => retry_after,
            Err(error) => {
                tracing::error!("enrichment and routing stand still: {error}");
                Duration::from_secs(2)
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.core.wake.pipeline.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One record in the pipeline.
struct Item {
    queue_key: Key,
    queue_version: u64,
    head: Head,
    content: Content,
    asked: Vec<(InstanceName, InstanceName)>,
    events: Vec<EventOf>,
}

type EventOf = (Actor, EventBody);

/// What one look at the queue came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Records that left the queue.
    pub(crate) records: usize,
    /// When the first of them was received.
    pub(crate) oldest: Time,
}

/// Takes one batch of up to `most` records through. Those that cannot be read now are put aside, and the others go on.
pub(crate) async fn step(shared: &Shared, most: usize, aside: &mut Aside) -> Result<Step, Fault> {
    let core = &shared.core;
    let view = core.store.view().await?;
    let rows = queued(&*view, most, aside).await?;
    if rows.is_empty() {
        return Ok(Step {
            records: 0,
            oldest: core.clock.now(),
        });
    }
    let Loaded {
        mut items,
        mut batch,
        read,
        oldest,
    } = load(core, &*view, rows, aside).await?;
    drop(view);
    if read == 0 {
        return Ok(Step { records: 0, oldest });
    }
    let instances = shared.instances();
    for enricher in &instances.enrichers {
        let state = enrich(shared, enricher, &mut items).await?;
        batch.edits.extend(state);
    }
    let rules = shared.config().rules.clone();
    let now = core.clock.now();
    for mut item in items {
        forget_unknown(&instances, &mut item);
        route(core, &rules, now, item, &mut batch)?;
    }
    let written = Written::by(&batch.edits);
    let applied = core.store.apply(batch).await;
    core.tell_written(written);
    applied?;
    metrics::counter!("mihwar_pipeline_records_total").increment(read as u64);
    Ok(Step { records: read, oldest })
}

/// Drops what enrichers asked for and nobody can receive: it would wait for ever.
fn forget_unknown(instances: &Instances, item: &mut Item) {
    let (known, unknown): (Vec<_>, Vec<_>) = std::mem::take(&mut item.asked)
        .into_iter()
        .partition(|(_, to)| instances.is_department(to));
    item.asked = known;
    for (enricher, to) in unknown {
        tracing::warn!(instance = %enricher, destination = %to, "an enricher routes to something that is no department");
        let body = EnrichmentFailed {
            feedback: item.head.feedback,
            revision: item.head.revision,
            instance: enricher,
            code: "unknown-route".into(),
        };
        item.events.push((Actor::Hub, EventBody::EnrichmentFailed(body)));
    }
}

/// Lets one enricher read a batch. If the call as a whole fails, halves are tried, so that one item that
/// the plugin cannot digest costs only itself. Answers what the plugin wants to remember.
async fn enrich(shared: &Shared, enricher: &Arc<Running>, items: &mut [Item]) -> Result<Vec<Edit>, Fault> {
    let whole = 0..items.len();
    let mut state = Vec::new();
    let mut parts = Vec::from([whole]);
    while let Some(part) = parts.pop() {
        let Some(slice) = items.get_mut(part.clone()) else {
            continue;
        };
        if slice.is_empty() {
            continue;
        }
        match process(shared, enricher, slice).await {
            Ok((verdicts, effects)) => {
                record(enricher, slice, verdicts);
                state.extend(lent::state_edits(&shared.core, &enricher.name, &effects)?);
            }
            Err(_) if slice.len() > 1 => {
                let middle = part.start + slice.len() / 2;
                parts.push(part.start..middle);
                parts.push(middle..part.end);
            }
            Err(code) => slice.iter_mut().for_each(|item| failed(enricher, item, &code)),
        }
    }
    Ok(state)
}

async fn process(shared: &Shared, enricher: &Arc<Running>, items: &[Item]) -> Result<(Vec<Verdict>, Effects), String> {
    let core = &shared.core;
    for _ in 0..5 {
        // Made anew where it has to be tried again, which is seldom: a copy to keep would be made each time.
        let stored = items
            .iter()
            .map(|item| convert::stored(&item.head, &item.content, enricher.fields));
        let call = lent::call(core, &enricher.name, Arc::new(lent::NoBlobs));
        let result = enricher.sandbox.process(stored.collect(), call).await;
        enricher.note(core.clock.now(), "process", &result);
        match result {
            Ok(done) => return Ok((done.value, done.effects)),
            Err(error) if matches!(*error.failure, CallFailure::Busy { .. }) => tokio::task::yield_now().await,
            Err(error) => return Err(error.code().to_owned()),
        }
    }
    Err("busy".into())
}

fn record(enricher: &Running, items: &mut [Item], verdicts: Vec<Verdict>) {
    let mut by_id: HashMap<String, Vec<Result<Vec<PluginEdit>, String>>> = HashMap::new();
    for verdict in verdicts {
        match verdict {
            Verdict::Edited(edits) => by_id.entry(edits.id).or_default().push(Ok(edits.edits)),
            Verdict::Failed((id, error)) => {
                let code = CallFailure::Plugin(error).code().to_owned();
                by_id.entry(id).or_default().push(Err(code));
            }
        }
    }
    for item in items {
        for verdict in by_id.remove(&item.head.feedback.to_string()).unwrap_or_default() {
            let empty = enrichment::nothing(item.head.feedback, item.head.revision, enricher.name.clone());
            match verdict.map(|edits| enrichment::from_edits(empty, edits)) {
                Ok(Ok(enriched)) if enrichment::says_something(&enriched) => {
                    let routes = enriched.routes.iter().map(|to| (enricher.name.clone(), to.clone()));
                    item.asked.extend(routes);
                    enrichment::apply(&mut item.head, enriched.clone());
                    item.events
                        .push((Actor::Instance(enricher.name.clone()), EventBody::Enriched(enriched)));
                }
                Ok(Ok(_)) => {}
                Ok(Err(reason)) => {
                    tracing::warn!(instance = %enricher.name, feedback = %item.head.feedback, "an enricher's edit is refused");
                    tracing::debug!(instance = %enricher.name, "{reason}");
                    failed(enricher, item, "edit-refused");
                }
                Err(code) => failed(enricher, item, &code),
            }
        }
    }
}

fn failed(enricher: &Running, item: &mut Item, code: &str) {
    let body = EnrichmentFailed {
        feedback: item.head.feedback,
        revision: item.head.revision,
        instance: enricher.name.clone(),
        code: event_code(code),
    };
    item.events.push((Actor::Hub, EventBody::EnrichmentFailed(body)));
}

/// Gives a record to those whom the rules choose.
fn route(core: &Core, rules: &RuleSet, now: Time, item: Item, batch: &mut Batch) -> Result<(), Fault> {
    let Item {
        queue_key,
        queue_version,
        head,
        content,
        asked,
        events,
    } = item;
    let decided = if head.quarantine.is_some() {
        Decided::default()
    } else {
        rules.decide(&head, &content, &asked)
    };
    rules.note(&decided, now);
    let failed = rules.failures(&decided);
    let mut routes = Vec::with_capacity(decided.decisions.len());
    for decision in decided.decisions {
        let delivery = DeliveryId(core.ids.next());
        let row = OutboxRow {
            feedback: head.feedback,
            revision: head.revision,
            contact: head.contact,
            attempts: 0,
            due: now,
            rule: decision.rule.clone(),
            attempts_before_replay: 0,
            erased: None,
        };
        batch.edits.push(Edit::Put(
            keys::outbox(&decision.destination, delivery),
            rows::encode(&row)?,
        ));
        routes.push(Route {
            delivery,
            destination: decision.destination,
            rule: decision.rule,
        });
    }
    for (actor, body) in events {
        batch.journal.push(core.event(actor, body)?);
    }
    let routed = Routed {
        feedback: head.feedback,
        revision: head.revision,
        routes,
        rules: rules.fingerprint(),
        failed,
    };
    batch.journal.push(core.event(Actor::Hub, EventBody::Routed(routed))?);
    batch.guards.push(Guard::At(queue_key.clone(), queue_version));
    batch.edits.push(Edit::Delete(queue_key));
    Ok(())
}
