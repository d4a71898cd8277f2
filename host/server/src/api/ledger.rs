//! The ledger's head, and its verification.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use mihwar_hub::{VerifyProgress, VerifyReport};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::http::problem::ProblemView;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Admin, Allowed, Problem, Read};
use crate::surface::Surface;

/// One line of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyLine {
    /// It goes on: `stage`, `done`, `total`.
    #[schema(value_type = Object)]
    Progress(VerifyProgress),
    /// The last line: `ok`, counts of all that was checked, and the `findings` that do not fit.
    #[schema(value_type = Object)]
    Report(VerifyReport),
    /// The last line of one that could not be carried out.
    Problem(ProblemView),
}

/// Get a checkpoint
///
/// Signs the present head of the ledger: a C2SP signed note (`tlog-checkpoint`). The key that verifies it is in the
/// `mihwar-verifier-key` header.
#[utoipa::path(
    get, path = "/api/v1/ledger/checkpoint", tag = "ledger",
    responses((status = OK, body = String, content_type = "text/plain", description = "The signed note.",
        headers(("mihwar-verifier-key" = String, description = "Public key of the signer, as a C2SP verifier key.")))),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_checkpoint(_: Allowed<Read>, State(surface): State<Surface>) -> Result<Response, Problem> {
    let note = surface.hub.checkpoint().await?;
    let key = http::HeaderValue::try_from(surface.hub.verifier_key()).map_err(Problem::internal)?;
    let headers = [
        (
            header::CONTENT_TYPE,
            http::HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (header::HeaderName::from_static("mihwar-verifier-key"), key),
    ];
    Ok((headers, note).into_response())
}

/// Verify the ledger
///
/// Hashes every entry again, checks every checkpoint and every content, builds the read models again and compares. Lines
/// of progress, then the report.
#[utoipa::path(
    post, path = "/api/v1/ledger:verify", tag = "ledger",
    responses((status = OK, body = VerifyLine, content_type = "application/x-ndjson", description = "Progress, then the report.")),
    security(("token" = ["admin"])),
)]
pub(crate) async fn verify_ledger(_: Allowed<Admin>, State(surface): State<Surface>) -> Response {
    let (mut lines, response) = ndjson();
    tokio::spawn(async move {
        if verify(&surface, &mut lines).await.is_err() {
            tracing::debug!("the reader of a verification went away");
        }
    });
    response
}

async fn verify(surface: &Surface, lines: &mut Lines) -> Result<(), ReaderGone> {
    let (sender, mut progress) = mpsc::channel(16);
    let verification = surface.hub.verify(sender);
    tokio::pin!(verification);
    let outcome = loop {
        tokio::select! {
            Some(step) = progress.recv() => lines.send(&VerifyLine::Progress(step)).await?,
            outcome = &mut verification => break outcome,
        }
    };
    match outcome {
        Ok(report) => lines.send(&VerifyLine::Report(report)).await,
        Err(error) => {
            lines
                .send(&Stopped {
                    problem: Problem::from(error).into_view(),
                })
                .await
        }
    }
}
