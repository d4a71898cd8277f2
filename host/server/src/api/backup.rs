//! Backups, made while the hub runs.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Uri, header};
use mihwar_hub::{BackupRefusal, RunningBackup};
use mihwar_store::backup::Mark;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::{Admin, Allowed, Problem, Sort};
use crate::json::Fields;
use crate::surface::Surface;

/// What the backup shall hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct BackupQuery {
    /// The state of an earlier backup, as its header names it: only what changed since then. Left out: everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// Stands among the headers of a backup that no increment can go on from.
pub const NO_INCREMENT: &str = "mihwar-no-increment";

/// Make a backup
///
/// Streams one consistent state of the hub, whatever is written meanwhile: everything, or what changed since an earlier
/// backup. The master key is not in it. Whether it came whole shows at its end: let `mihwar backup` fetch it, or check the
/// file with `mihwar backup verify`. One at a time.
#[utoipa::path(
    get, path = "/api/v1/backup", tag = "hub",
    params(BackupQuery),
    responses(
        (status = OK, body = Vec<u8>, content_type = "application/octet-stream", description = "The backup.",
            headers(("mihwar-no-increment" = String, description = "`true` where no increment can go on from it: the store has no room to note that it was made."))),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = CONFLICT, body = ProblemView, content_type = "application/problem+json", description = "Another backup is being made, or the hub was never in that state."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn get_backup(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    uri: Uri,
) -> Result<Response, Problem> {
    let since = read_query(&uri, read_since)?;
    let RunningBackup { chunks, no_increment } = surface.hub.backup(since).await?;
    let stream = stream::unfold(chunks, |mut chunks| async {
        let chunk = chunks.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), chunks))
    });
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if no_increment.is_some() {
        headers.insert(NO_INCREMENT, HeaderValue::from_static("true"));
    }
    Ok((headers, Body::from_stream(stream)).into_response())
}

fn read_since(fields: &mut Fields<'_>) -> Option<Mark> {
    let text = fields.text("since")?;
    match text.parse() {
        Ok(mark) => Some(mark),
        Err(error) => {
            fields.fault("since", format!("{error}"));
            None
        }
    }
}

impl From<BackupRefusal> for Problem {
    fn from(refusal: BackupRefusal) -> Self {
        match refusal {
            BackupRefusal::Running | BackupRefusal::Since(_) => Self::new(Sort::Conflict, refusal.to_string()),
            BackupRefusal::Fault(fault) => fault.into(),
        }
    }
}
