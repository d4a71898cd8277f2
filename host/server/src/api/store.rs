//! Looking after the store while it is in use.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use mihwar_hub::{CompactError, CompactReport, StageProgress};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Admin, Allowed, Problem, Sort};
use crate::surface::Surface;

/// When to ask again while another compaction runs.
const COMPACTING_RETRY_AFTER: Duration = Duration::from_secs(30);

/// One line of a compaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompactLine {
    /// It goes on: `stage`, `done`, `total`.
    #[schema(value_type = Object)]
    Progress(StageProgress),
    /// The last line: bytes on disk `before` and `after`, `rows` moved, `pause_millis` without writing.
    #[schema(value_type = Object)]
    Report(CompactReport),
    /// The last line of one that did not take place. The store is as it was.
    Problem(ProblemView),
}

/// Compact the store
///
/// Rewrites the store's file without the room that deleted and changed rows left in it, while the hub goes on. Needs as much
/// free room as the file takes. Goes on when the connection is closed. Lines of progress, then the report.
#[utoipa::path(
    post, path = "/api/v1/store:compact", tag = "store",
    responses((status = OK, body = CompactLine, content_type = "application/x-ndjson", description = "Progress, then the report.")),
    security(("token" = ["admin"])),
)]
pub(crate) async fn compact_store(_: Allowed<Admin>, State(surface): State<Surface>, place: Place) -> Response {
    let (mut lines, response) = ndjson(place);
    tokio::spawn(async move {
        if compact(&surface, &mut lines).await.is_err() {
            tracing::debug!("the reader of a compaction went away");
        }
    });
    response
}

async fn compact(surface: &Surface, lines: &mut Lines) -> Result<(), ReaderGone> {
    let (sender, mut progress) = mpsc::channel(16);
    let compaction = surface.hub.compact(sender);
    tokio::pin!(compaction);
    let outcome = loop {
        tokio::select! {
            Some(step) = progress.recv() => lines.send(&CompactLine::Progress(step)).await?,
            outcome = &mut compaction => break outcome,
        }
    };
    match outcome {
        Ok(report) => lines.send(&CompactLine::Report(report)).await,
        Err(error) => {
            let problem = Problem::from(error).into_view();
            lines.send(&Stopped { problem }).await
        }
    }
}

impl From<CompactError> for Problem {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::NoSpace { .. } => Self::new(Sort::NoSpace, error.to_string()),
            CompactError::Running => Self::busy(COMPACTING_RETRY_AFTER).with_private(error),
            CompactError::NoFile | CompactError::UnknownTable { .. } | CompactError::Store(_) => Self::internal(error),
        }
    }
}
