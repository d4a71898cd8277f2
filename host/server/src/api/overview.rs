//! The hub in figures.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use mihwar_hub::Overview;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::{Allowed, Problem, Read};
use crate::surface::Surface;

/// The hub in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Overview)]
pub struct OverviewView {
    /// Pieces of feedback.
    pub feedback: u64,
    /// … by the channel instance that brought them.
    pub by_instance: BTreeMap<String, u64>,
    /// … by kind; `unknown` where nobody said.
    pub by_kind: BTreeMap<String, u64>,
    /// Deliveries by department and state.
    pub deliveries: BTreeMap<String, BTreeMap<String, u64>>,
    /// Entries of the ledger.
    pub ledger_size: u64,
    /// Entries under the last checkpoint that was kept.
    pub last_checkpoint: Option<u64>,
    /// Bytes of the store's file.
    pub file_bytes: u64,
    /// Commits since the hub started.
    pub commits: u64,
    /// Times that the disk was made to keep what was written, since the hub started.
    pub fsyncs: u64,
}

impl From<Overview> for OverviewView {
    fn from(overview: Overview) -> Self {
        Self {
            feedback: overview.feedback,
            by_instance: overview.by_instance,
            by_kind: overview.by_kind,
            deliveries: overview.deliveries,
            ledger_size: overview.ledger_size,
            last_checkpoint: overview.last_checkpoint,
            file_bytes: overview.file_bytes,
            commits: overview.commits,
            fsyncs: overview.fsyncs,
        }
    }
}

/// Get the hub in figures
///
/// How much came in, where it went, how long the ledger is.
#[utoipa::path(
    get, path = "/api/v1/overview", tag = "hub",
    responses((status = OK, body = OverviewView, description = "The figures.")),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_overview(
    _: Allowed<Read>,
    State(surface): State<Surface>,
) -> Result<Json<OverviewView>, Problem> {
    let overview = surface.hub.overview().await?;
    Ok(Json(OverviewView::from(overview)))
}
