//! Requests of other systems. One is verified, stored raw and only then acknowledged; its plugin turns it
//! into records afterwards. One that cannot succeed becomes a dead letter, whole and replayable.

mod dead;
mod handling;
mod items;
mod work;

use std::sync::Arc;

use mihwar_model::{AttachmentId, InboundId, InstanceName};
use mihwar_sandbox::Capability;
use mihwar_store::{ApplyError, Batch, Edit};
use thiserror::Error;

use crate::content::{blob_of, blob_row, inline_row};
use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::keys;
use crate::rows::{self, InboxRow};
use crate::withdrawal;

pub use dead::InboundRecord;
pub(crate) use dead::{page as dead_page, replay};
pub(crate) use items::{item_id, item_letter};
pub(crate) use work::run;

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

/// An address that takes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundEndpoint {
    /// Longest body that it takes, in bytes.
    pub max_body: u64,
}

/// A request of up to this many bytes fits a row; longer ones go to the blob folder. As a dead letter it still has to fit
/// with its reason beside it.
const ROW_BYTES_MAX: usize = 60_000;

/// Who takes requests of this method at this address, and how long they may be.
pub(crate) fn endpoint(
    shared: &Shared,
    instance: &InstanceName,
    endpoint: &str,
    method: &str,
) -> Result<(Arc<Running>, InboundEndpoint), InboundError> {
    let running = shared
        .instances()
        .get(instance)
        .filter(|running| running.can(Capability::Webhook));
    let running = running.ok_or_else(|| InboundError::UnknownInstance(instance.clone()))?;
    let manifest = running.sandbox.plugin().manifest();
    let declared = manifest
        .webhook(endpoint)
        .ok_or_else(|| InboundError::UnknownEndpoint(endpoint.to_owned()))?;
    if !declared.methods.iter().any(|taken| taken.eq_ignore_ascii_case(method)) {
        return Err(InboundError::MethodNotAllowed {
            allowed: declared.methods.clone(),
        });
    }
    let endpoint = InboundEndpoint {
        max_body: declared.max_body.0,
    };
    Ok((running, endpoint))
}

/// Verifies a request and makes it durable.
pub(crate) async fn accept(shared: &Shared, request: InboundRequest) -> Result<InboundId, InboundError> {
    let (running, endpoint) = endpoint(shared, &request.instance, &request.endpoint, &request.method)?;
    let limit = endpoint.max_body;
    if request.body.len() as u64 > limit {
        return Err(InboundError::BodyTooLarge { limit });
    }
    let mut query = request.query;
    let mut headers: Vec<(String, String)> = request
        .headers
        .into_iter()
        .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
        .collect();
    let core = &shared.core;
    let verified = match running.sandbox.webhook_verifier(&request.endpoint) {
        Some(verifier) => {
            verifier
                .verify(headers.as_slice(), &query, &request.body, core.clock.now())
                .map_err(|refusal| InboundError::NotVerified {
                    reason: refusal.to_string(),
                })?;
            verifier.strip(&mut headers, &mut query);
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
        query,
        headers,
        body: request.body.to_vec(),
        verified,
        received_at: core.clock.now(),
        item: None,
    };
    keep(shared, id, &row).await?;
    core.wake.inbound.notify_one();
    Ok(id)
}

/// What a sealed request is bound to: it opens in the inbox and among the dead letters, and nowhere else.
fn place(id: InboundId) -> Vec<u8> {
    [b"stored request".as_slice(), &id.to_bytes()].concat()
}

/// Seals a request. Answers its row, and the file that must be there before that, if the request is long.
fn sealed(core: &Core, id: InboundId, request: &InboxRow) -> Result<(Vec<u8>, Option<SealedFile>), Fault> {
    let sealed = core.vault.seal_own(&place(id), &rows::encode(request)?)?;
    if sealed.len() <= ROW_BYTES_MAX {
        return Ok((inline_row(&sealed), None));
    }
    let file = AttachmentId(core.ids.next());
    Ok((blob_row(file, sealed.len()), Some((file, sealed))))
}

/// A file to be written, with its bytes.
type SealedFile = (AttachmentId, Vec<u8>);

/// Makes a request durable, as a whole or not at all.
async fn keep(shared: &Shared, id: InboundId, request: &InboxRow) -> Result<(), Fault> {
    let core = &shared.core;
    let (row, file) = sealed(core, id, request)?;
    let file = match file {
        Some((file, bytes)) => {
            if let Err(error) = core.blobs.put(file.0, bytes).await {
                withdrawal::discard(core, &[file]).await;
                return Err(error.into());
            }
            Some(file)
        }
        None => None,
    };
    let mut batch = Batch {
        edits: vec![Edit::Put(keys::inbox(&request.instance, id), row)],
        ..Batch::default()
    };
    batch.edits.extend(file.map(withdrawal::keep));
    let Err(error) = core.store.apply(batch).await else {
        return Ok(());
    };
    // Not known means that the row may be there, and with it the need for the file.
    if let Some(file) = file.filter(|_| !matches!(error, ApplyError::Unknown)) {
        withdrawal::discard(core, &[file]).await;
    }
    Err(error.into())
}

async fn open(shared: &Shared, id: InboundId, row: &[u8]) -> Result<InboxRow, Fault> {
    let core = &shared.core;
    let sealed = match blob_of(row) {
        Some(blob) => core.blobs.read(blob.0).await?,
        None => row.get(1..).unwrap_or_default().to_vec(),
    };
    rows::decode("a stored request", &core.vault.open_own(&place(id), &sealed)?)
}
