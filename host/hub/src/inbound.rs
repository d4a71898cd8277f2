//! Requests of other systems. One is verified, stored raw and only then acknowledged; its plugin turns it
//! into records afterwards. One that cannot succeed becomes a dead letter, whole and replayable.

use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{
    Actor, EventBody, FieldProblem, InboundDeadLettered, InboundId, InboundReplayed, InstanceName, Time,
};
use mihwar_sandbox::contract::types::{Header, PluginError};
use mihwar_sandbox::contract::webhook;
use mihwar_sandbox::{CallFailure, Capability};
use mihwar_store::{Batch, Edit, Guard, Order};
use serde::Serialize;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::changes;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::intake::{self, Rider};
use crate::keys;
use crate::lent;
use crate::rows::{self, InboxDeadRow, InboxRow};

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct InboundRequest {
    /// The channel instance that is addressed.
    pub instance: InstanceName,
    /// Its endpoint.
    pub endpoint: String,
    /// HTTP method.
    pub method: String,
    /// Path and what follows the endpoint in it.
    pub path: String,
    /// Query, decoded.
    pub query: Vec<(String, String)>,
    /// Headers; values that are no text are dropped.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: bytes::Bytes,
}

/// Why a request was not taken in.
#[derive(Debug, Error)]
pub enum InboundError {
    /// No such instance, or it takes no requests.
    #[error("no instance \"{0}\" takes requests")]
    UnknownInstance(InstanceName),
    /// No such endpoint.
    #[error("the instance has no endpoint \"{0}\"")]
    UnknownEndpoint(String),
    /// The endpoint takes other methods.
    #[error("this endpoint takes {}", allowed.join(", "))]
    MethodNotAllowed {
        /// Which.
        allowed: Vec<String>,
    },
    /// The body is larger than the endpoint takes.
    #[error("this endpoint takes at most {limit} bytes")]
    BodyTooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The signature is missing, stale or wrong.
    #[error("{reason}")]
    NotVerified {
        /// What is wrong with it.
        reason: String,
    },
    /// It could not be made durable.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A request that could not become feedback, for readers.
#[derive(Debug, Clone, Serialize)]
pub struct InboundRecord {
    /// Its id.
    pub inbound: InboundId,
    /// The channel instance.
    pub instance: InstanceName,
    /// Its endpoint.
    pub endpoint: String,
    /// When it came.
    pub received_at: Time,
    /// Short reason.
    pub code: String,
    /// What its plugin said.
    pub reason: String,
}

/// A request of up to this many bytes fits a row; longer ones go to the blob folder.
const ROW_BYTES_MAX: usize = 90_000;

/// Verifies a request and makes it durable.
pub(crate) async fn accept(shared: &Shared, request: InboundRequest) -> Result<InboundId, InboundError> {
    let instance = shared
        .instances()
        .get(&request.instance)
        .filter(|running| running.can(Capability::Webhook));
    let instance = instance.ok_or_else(|| InboundError::UnknownInstance(request.instance.clone()))?;
    let manifest = instance.sandbox.plugin().manifest();
    let endpoint = manifest
        .webhook(&request.endpoint)
        .ok_or_else(|| InboundError::UnknownEndpoint(request.endpoint.clone()))?;
    if !endpoint
        .methods
        .iter()
        .any(|method| method.eq_ignore_ascii_case(&request.method))
    {
        return Err(InboundError::MethodNotAllowed {
            allowed: endpoint.methods.clone(),
        });
    }
    let limit = endpoint.max_body.0;
    if request.body.len() as u64 > limit {
        return Err(InboundError::BodyTooLarge { limit });
    }
    let headers: Vec<(String, String)> = request
        .headers
        .into_iter()
        .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
        .collect();
    let core = &shared.core;
    let verified = match instance.sandbox.webhook_verifier(&request.endpoint) {
        Some(verifier) => {
            verifier
                .verify(headers.as_slice(), &request.body, core.clock.now())
                .map_err(|refusal| InboundError::NotVerified {
                    reason: refusal.to_string(),
                })?;
            Some(request.endpoint.clone())
        }
        None => None,
    };
    let id = InboundId(core.ids.next());
    let row = InboxRow {
        instance: request.instance,
        endpoint: request.endpoint,
        method: request.method,
        path: request.path,
        query: request.query,
        headers,
        body: request.body.to_vec(),
        verified,
        received_at: core.clock.now(),
    };
    let row = seal(shared, id, &row).await?;
    let batch = Batch {
        edits: vec![Edit::Put(keys::inbox(id), row)],
        ..Batch::default()
    };
    core.store.apply(batch).await.map_err(Fault::from)?;
    core.wake.inbound.notify_one();
    Ok(id)
}

async fn seal(shared: &Shared, id: InboundId, row: &InboxRow) -> Result<Vec<u8>, Fault> {
    let core = &shared.core;
    let sealed = core.vault.seal_own(&id.to_bytes(), &rows::encode(row)?)?;
    if sealed.len() <= ROW_BYTES_MAX {
        return Ok(crate::content::inline_row(&sealed));
    }
    let blob = mihwar_model::AttachmentId(core.ids.next());
    let row = crate::content::blob_row(blob, sealed.len());
    core.blobs
        .put(blob.0, sealed)
        .await
        .map_err(|error| Fault::Blob(error.to_string()))?;
    Ok(row)
}

async fn open(shared: &Shared, id: InboundId, row: &[u8]) -> Result<InboxRow, Fault> {
    let core = &shared.core;
    let sealed = match crate::content::blob_of(row) {
        Some(blob) => core
            .blobs
            .read(blob.0)
            .await
            .map_err(|error| Fault::Blob(error.to_string()))?,
        None => row.get(1..).unwrap_or_default().to_vec(),
    };
    rows::decode("a stored request", &core.vault.open_own(&id.to_bytes(), &sealed)?)
}

/// Requests worked on at once.
const CONCURRENT: usize = 16;

/// Works stored requests off until told to stop.
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
            Err(Fault::Busy { retry_after }) => retry_after,
            Err(Fault::Contended) => Duration::from_millis(10),
            Err(error) => {
                tracing::error!("stored requests stand still: {error}");
                Duration::from_secs(2)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.core.wake.inbound.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Works some requests off; answers how many came to an end.
pub(crate) async fn step(shared: &Arc<Shared>) -> Result<usize, Fault> {
    let view = shared.core.store.view().await?;
    let page = view.scan(keys::all(keys::INBOX), Order::Ascending, CONCURRENT).await?;
    drop(view);
    let work = page.rows.into_iter().filter_map(|row| {
        let id = InboundId::from_bytes(keys::last_id(&row.key)?);
        Some(async move {
            let mut version = row.value.version;
            handle(shared, id, &mut version, &row.value.bytes).await
        })
    });
    let mut ended = 0;
    for result in futures_util::future::join_all(work).await {
        ended += usize::from(result?);
    }
    Ok(ended)
}

async fn handle(shared: &Arc<Shared>, id: InboundId, version: &mut u64, row: &[u8]) -> Result<bool, Fault> {
    let core = &shared.core;
    let request = match open(shared, id, row).await {
        Ok(request) => request,
        Err(error) => {
            tracing::error!(inbound = %id, "a stored request cannot be read: {error}");
            return Ok(false);
        }
    };
    let Some(instance) = shared
        .instances()
        .get(&request.instance)
        .filter(|running| running.can(Capability::Webhook))
    else {
        return dead(
            shared,
            id,
            *version,
            row,
            &request,
            "instance-gone",
            "no such instance is configured any more",
        )
        .await;
    };
    let call = lent::call(core, &instance.name, Arc::new(lent::NoBlobs));
    let result = instance
        .sandbox
        .handle_webhook(contract_request(id, &request), call)
        .await;
    instance.note(core.clock.now(), "handle", &result);
    let done = match result {
        Ok(done) => done,
        Err(error) => {
            return match &*error.failure {
                CallFailure::Busy { .. } | CallFailure::Host(_) => Ok(false),
                CallFailure::Plugin(PluginError::Transient(retry) | PluginError::RateLimited(retry)) => {
                    wait(retry.after_ms).await;
                    Ok(false)
                }
                failure => dead(shared, id, *version, row, &request, error.code(), &failure.to_string()).await,
            };
        }
    };
    let mut edits = lent::state_edits(core, &instance.name, &done.effects)?;
    edits.push(Edit::Delete(keys::inbox(id)));
    let rider = Rider {
        guards: vec![Guard::At(keys::inbox(id), *version)],
        edits,
        events: Vec::new(),
    };
    keep(shared, &instance, id, row, &request, done.value, &done.effects, rider).await
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one transaction, used in this one place"
)]
async fn keep(
    shared: &Arc<Shared>,
    instance: &Running,
    id: InboundId,
    row: &[u8],
    request: &InboxRow,
    outcome: webhook::Outcome,
    effects: &mihwar_sandbox::Effects,
    mut rider: Rider,
) -> Result<bool, Fault> {
    let core = &shared.core;
    let taken = changes::arrivals(core, instance, outcome.changes, effects).await?;
    let mut refused: Vec<String> = outcome
        .refusals
        .iter()
        .map(|r| format!("{} ({}): {}", r.place, r.code, r.reason))
        .collect();
    refused.extend(
        taken
            .refused
            .iter()
            .map(|(item, problems)| format!("{item}: {}", list(problems))),
    );
    // A draft that the model refuses shows only on writing; ask it first, so that the dead letter can say so.
    for arrival in &taken.arrivals {
        let problems = arrival.draft.problems();
        if !problems.is_empty() {
            refused.push(format!(
                "{}: {}",
                arrival.draft.external_id.as_deref().unwrap_or("?"),
                list(&problems)
            ));
        }
    }
    rider.edits.extend(taken.edits);
    rider.events.extend(taken.events);
    if !refused.is_empty() {
        // The good items are kept; the request stays whole as a dead letter for the others.
        let dead = dead_row(shared, id, row, request, "refused", &refused.join("\n"))?;
        rider.edits.push(Edit::Put(keys::inbox_dead(id), dead));
        rider.events.push(dead_event(shared, id, request, "refused"));
    }
    let actor = Actor::Instance(instance.name.clone());
    intake::accept(core, &actor, &instance.name, &taken.arrivals, &rider).await?;
    changes::destroy(core, &taken.doomed).await;
    if refused.is_empty() {
        remove_blob(shared, row).await;
    }
    Ok(true)
}

fn list(problems: &[FieldProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

async fn wait(millis: Option<u64>) {
    tokio::time::sleep(Duration::from_millis(millis.unwrap_or(1000).min(5000))).await;
}

async fn remove_blob(shared: &Shared, row: &[u8]) {
    if let Some(blob) = crate::content::blob_of(row)
        && let Err(error) = shared.core.blobs.delete(blob.0).await
    {
        tracing::warn!("a handled request's file cannot be removed: {error}");
    }
}

fn contract_request(id: InboundId, request: &InboxRow) -> webhook::InboundRequest {
    webhook::InboundRequest {
        delivery_id: id.to_string(),
        endpoint: request.endpoint.clone(),
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| Header {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        body: request.body.clone(),
        verification: match &request.verified {
            Some(recipe) => webhook::Verification::Verified(recipe.clone()),
            None => webhook::Verification::Unverified,
        },
        received_at: request.received_at.0,
    }
}

fn dead_row(
    shared: &Shared,
    id: InboundId,
    row: &[u8],
    request: &InboxRow,
    code: &str,
    reason: &str,
) -> Result<Vec<u8>, Fault> {
    rows::encode(&InboxDeadRow {
        request: row.to_vec(),
        instance: request.instance.clone(),
        endpoint: request.endpoint.clone(),
        code: code.to_owned(),
        reason: shared.core.vault.seal_own(&id.to_bytes(), reason.as_bytes())?,
        received_at: request.received_at,
    })
}

fn dead_event(shared: &Shared, id: InboundId, request: &InboxRow, code: &str) -> mihwar_model::Event {
    let body = InboundDeadLettered {
        inbound: id,
        instance: request.instance.clone(),
        code: code.chars().take(64).collect(),
    };
    mihwar_model::Event {
        at: shared.core.clock.now(),
        actor: Actor::Hub,
        body: EventBody::InboundDeadLettered(body),
    }
}

async fn dead(
    shared: &Shared,
    id: InboundId,
    version: u64,
    row: &[u8],
    request: &InboxRow,
    code: &str,
    reason: &str,
) -> Result<bool, Fault> {
    let event = dead_event(shared, id, request, code);
    let batch = Batch {
        guards: vec![Guard::At(keys::inbox(id), version)],
        edits: vec![
            Edit::Delete(keys::inbox(id)),
            Edit::Put(keys::inbox_dead(id), dead_row(shared, id, row, request, code, reason)?),
        ],
        journal: vec![event.to_bytes().map_err(Fault::Encoding)?],
    };
    shared.core.store.apply(batch).await?;
    Ok(true)
}

/// Dead letters, newest first.
pub(crate) async fn dead_page(
    shared: &Shared,
    after: Option<InboundId>,
    limit: usize,
) -> Result<Vec<InboundRecord>, Fault> {
    let view = shared.core.store.view().await?;
    let mut range = keys::all(keys::INBOX_DEAD);
    if let Some(after) = after {
        range = range.before(&keys::inbox_dead(after));
    }
    let page = view.scan(range, Order::Descending, limit).await?;
    page.rows.into_iter().map(|row| record(shared, &row)).collect()
}

fn record(shared: &Shared, row: &mihwar_store::Row) -> Result<InboundRecord, Fault> {
    let dead: InboxDeadRow = rows::decode("a dead letter", &row.value.bytes)?;
    let id = keys::last_id(&row.key).unwrap_or_default();
    let reason = shared.core.vault.open_own(&id, &dead.reason)?;
    Ok(InboundRecord {
        inbound: InboundId::from_bytes(id),
        instance: dead.instance,
        endpoint: dead.endpoint,
        received_at: dead.received_at,
        code: dead.code,
        reason: String::from_utf8_lossy(&reason).into_owned(),
    })
}

/// Puts one dead letter, or all of them, back into the inbox. Answers how many.
pub(crate) async fn replay(shared: &Shared, actor: &Actor, which: Option<InboundId>) -> Result<u64, Fault> {
    let mut replayed = 0;
    loop {
        let view = shared.core.store.view().await?;
        let range = match which {
            Some(id) => mihwar_store::KeyRange::prefix(keys::inbox_dead(id)),
            None => keys::all(keys::INBOX_DEAD),
        };
        let page = view.scan(range, Order::Ascending, 100).await?;
        drop(view);
        if page.rows.is_empty() {
            shared.core.wake.inbound.notify_one();
            return Ok(replayed);
        }
        let mut batch = Batch::default();
        for row in page.rows {
            let dead: InboxDeadRow = rows::decode("a dead letter", &row.value.bytes)?;
            let id = InboundId::from_bytes(keys::last_id(&row.key).unwrap_or_default());
            batch.guards.push(Guard::At(row.key.clone(), row.value.version));
            let body = EventBody::InboundReplayed(InboundReplayed {
                inbound: id,
                instance: dead.instance,
            });
            batch.journal.push(shared.core.event(actor.clone(), body)?);
            batch.edits.push(Edit::Put(keys::inbox(id), dead.request));
            batch.edits.push(Edit::Delete(row.key));
            replayed += 1;
        }
        shared.core.store.apply(batch).await?;
    }
}
