//! Enrichment and routing: what was received is read by the enrichers and given to those whom the rules
//! choose. All that comes of a batch is one transaction: the enrichers' events, the routing decisions,
//! the deliveries they cause, and the removal from the queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{
    Actor, Content, DeliveryId, EnrichmentFailed, Event, EventBody, InstanceName, Received, Route, Routed, Time,
};
use mihwar_sandbox::CallFailure;
use mihwar_sandbox::contract::processor::{Edit as PluginEdit, Verdict};
use mihwar_store::{Batch, Edit, Guard, Key, Order, Row, View};
use tokio_util::sync::CancellationToken;

use crate::content::weight;
use crate::convert;
use crate::core::Core;
use crate::enrichment;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::keys;
use crate::lent;
use crate::rows::{self, Head, OutboxRow, QueueRow};

/// Records read in one go.
const RECORDS_MAX: usize = 256;
/// Bytes of content brought into memory in one go.
const CONTENT_BYTES_MAX: usize = 16 << 20;

/// Works the queue off until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let pause = match step(&shared).await {
            Ok(0) => Duration::from_secs(1),
            Ok(_) => {
                if stop.is_cancelled() {
                    return;
                }
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

/// Takes one batch through. Answers how many records.
pub(crate) async fn step(shared: &Shared) -> Result<usize, Fault> {
    let core = &shared.core;
    let view = core.store.view().await?;
    let page = view.scan(keys::all(keys::QUEUE), Order::Ascending, RECORDS_MAX).await?;
    if page.rows.is_empty() {
        return Ok(0);
    }
    let (mut items, gone, read) = load(core, &*view, page.rows).await?;
    drop(view);
    let instances = shared.instances();
    for enricher in &instances.enrichers {
        enrich(shared, enricher, &mut items).await;
    }
    let rules = shared.config().rules.clone();
    let now = core.clock.now();
    let mut batch = Batch::default();
    for (key, version) in gone {
        batch.guards.push(Guard::At(key.clone(), version));
        batch.edits.push(Edit::Delete(key));
    }
    for item in items {
        route(core, &rules, now, item, &mut batch)?;
    }
    core.store.apply(batch).await?;
    core.wake.deliveries();
    metrics::counter!("mihwar_pipeline_records_total").increment(read as u64);
    Ok(read)
}

type Loaded = (Vec<Item>, Vec<(Key, u64)>, usize);

async fn load(core: &Core, view: &dyn View, queued: Vec<Row>) -> Result<Loaded, Fault> {
    let mut received: Vec<(Row, Time, Received)> = Vec::with_capacity(queued.len());
    for row in queued {
        let queue: QueueRow = rows::decode("a queue entry", &row.value.bytes)?;
        let event = Event::from_bytes(&queue.event).map_err(|detail| Fault::Damaged {
            what: "a queue entry",
            detail,
        })?;
        if let EventBody::Received(body) = event.body {
            received.push((row, event.at, body));
        }
    }
    let content_keys: Vec<Key> = received
        .iter()
        .map(|(_, _, r)| keys::content(r.feedback, r.revision))
        .collect();
    let contents = view.get_many(&content_keys).await?;
    let contact_keys = core
        .contact_keys(view, received.iter().map(|(_, _, r)| r.contact).collect())
        .await?;
    let (mut items, mut gone, mut bytes, mut read) = (Vec::new(), Vec::new(), 0, 0);
    for ((row, at, received), content) in received.into_iter().zip(contents) {
        let (Some(content), Some(key)) = (content, contact_keys.get(&received.contact)) else {
            // Withdrawn or erased since: nothing is left to enrich or deliver.
            gone.push((row.key, row.value.version));
            read += 1;
            continue;
        };
        bytes += weight(&content.bytes);
        if bytes > CONTENT_BYTES_MAX && !items.is_empty() {
            break;
        }
        let opened = core
            .open_content(key, received.feedback, received.revision, &content.bytes)
            .await?;
        read += 1;
        items.push(Item {
            queue_key: row.key,
            queue_version: row.value.version,
            head: Head::of(at, received),
            content: opened.content,
            asked: Vec::new(),
            events: Vec::new(),
        });
    }
    Ok((items, gone, read))
}

/// Lets one enricher read a batch. If the call as a whole fails, halves are tried, so that one item that
/// the plugin cannot digest costs only itself.
async fn enrich(shared: &Shared, enricher: &Arc<Running>, items: &mut [Item]) {
    let whole = 0..items.len();
    let mut parts = Vec::from([whole]);
    while let Some(part) = parts.pop() {
        let Some(slice) = items.get_mut(part.clone()) else {
            continue;
        };
        if slice.is_empty() {
            continue;
        }
        match process(shared, enricher, slice).await {
            Ok(verdicts) => record(enricher, slice, verdicts),
            Err(_) if slice.len() > 1 => {
                let middle = part.start + slice.len() / 2;
                parts.push(part.start..middle);
                parts.push(middle..part.end);
            }
            Err(code) => slice.iter_mut().for_each(|item| failed(enricher, item, &code)),
        }
    }
}

async fn process(shared: &Shared, enricher: &Arc<Running>, items: &[Item]) -> Result<Vec<Verdict>, String> {
    let core = &shared.core;
    let stored: Vec<_> = items
        .iter()
        .map(|item| convert::stored(&item.head, &item.content, enricher.fields))
        .collect();
    for _ in 0..5 {
        let call = lent::call(core, &enricher.name, Arc::new(lent::NoBlobs));
        let result = enricher.sandbox.process(stored.clone(), call).await;
        enricher.note(core.clock.now(), "process", &result);
        match result {
            Ok(done) => return Ok(done.value),
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
                    tracing::warn!(instance = %enricher.name, feedback = %item.head.feedback, "an enricher's edit is refused: {reason}");
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
        code: code.chars().take(64).collect(),
    };
    item.events.push((Actor::Hub, EventBody::EnrichmentFailed(body)));
}

fn route(core: &Core, rules: &crate::routing::RuleSet, now: Time, item: Item, batch: &mut Batch) -> Result<(), Fault> {
    let Item {
        queue_key,
        queue_version,
        head,
        content,
        asked,
        events,
    } = item;
    let decisions = if head.quarantine.is_some() {
        Vec::new()
    } else {
        rules.decide(&head, &content, &asked)
    };
    let mut routes = Vec::with_capacity(decisions.len());
    for decision in decisions {
        let delivery = DeliveryId(core.ids.next());
        let row = OutboxRow {
            feedback: head.feedback,
            revision: head.revision,
            contact: head.contact,
            attempts: 0,
            due: now,
            rule: decision.rule.clone(),
            attempts_before_replay: 0,
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
    };
    batch.journal.push(core.event(Actor::Hub, EventBody::Routed(routed))?);
    batch.guards.push(Guard::At(queue_key.clone(), queue_version));
    batch.edits.push(Edit::Delete(queue_key));
    Ok(())
}
