//! The ledger's head, and its verification.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Uri;
use http::header;
use mihwar_hub::{StageProgress, VerifyReport};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Admin, Allowed, Problem, Read};
use crate::surface::Surface;

/// One line of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyLine {
    /// It goes on: `stage`, `done`, `total`.
    #[schema(value_type = Object)]
    Progress(StageProgress),
    /// The last line: `ok`, counts of all that was checked, and the `findings` that do not fit.
    #[schema(value_type = Object)]
    Report(VerifyReport),
    /// The last line of one that could not be carried out.
    Problem(ProblemView),
}

/// How much is verified.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VerifyQuery {
    /// `true`: the ledger alone (entries, tree, tiles, checkpoints), and nothing of what follows from it.
    quick: Option<bool>,
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
/// Hashes every entry again, checks the tree, its tiles and every checkpoint; then every content, the queue and the outbox,
/// and builds the read models again and compares. Lines of progress, then the report.
#[utoipa::path(
    post, path = "/api/v1/ledger:verify", tag = "ledger",
    params(VerifyQuery),
    responses(
        (status = OK, body = VerifyLine, content_type = "application/x-ndjson", description = "Progress, then the report."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn verify_ledger(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    place: Place,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = read_query(&uri, |fields| VerifyQuery {
        quick: fields.parsed("quick"),
    })?;
    let (mut lines, response) = ndjson(place);
    tokio::spawn(async move {
        if verify(&surface, &query, &mut lines).await.is_err() {
            tracing::debug!("the reader of a verification went away");
        }
    });
    Ok(response)
}

async fn verify(surface: &Surface, query: &VerifyQuery, lines: &mut Lines) -> Result<(), ReaderGone> {
    let (sender, mut progress) = mpsc::channel(16);
    let verification = async {
        if query.quick == Some(true) {
            surface.hub.verify_ledger(sender).await
        } else {
            surface.hub.verify(sender).await
        }
    };
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
