//! The ledger's head, and its verification.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Uri;
use http::header;
use mihwar_hub::{StageProgress, VerifyReport, WitnessedHead};
use mihwar_ledger::Hash;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use crate::http::body::MaybeJson;
use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Admin, Allowed, Problem, Read};
use crate::json::{Fields, read_object};
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

/// What a verification is to compare with besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct VerifyInput {
    /// What checkpoints say that were kept outside of the hub, and whose signatures the asker has verified: at most 50 000.
    pub heads: Vec<HeadInput>,
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeadInput {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them, base64.
    pub root: String,
}

/// Checkpoints that are compared in one verification.
const HEADS_MAX: usize = 50_000;

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
/// and builds the read models again and compares. Lines of progress, then the report. The body may be left out.
#[utoipa::path(
    post, path = "/api/v1/ledger:verify", tag = "ledger",
    params(VerifyQuery),
    request_body = VerifyInput,
    responses(
        (status = OK, body = VerifyLine, content_type = "application/x-ndjson", description = "Progress, then the report."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "Fields are wrong."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn verify_ledger(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    uri: Uri,
    MaybeJson { value, place }: MaybeJson,
) -> Result<Response, Problem> {
    let query = read_query(&uri, |fields| VerifyQuery {
        quick: fields.parsed("quick"),
    })?;
    let heads = value.map(|value| read_object(value, heads).map_err(Problem::fields));
    let heads = heads.transpose()?.unwrap_or_default();
    let (mut lines, response) = ndjson(place);
    tokio::spawn(async move {
        if verify(&surface, &query, heads, &mut lines).await.is_err() {
            tracing::debug!("the reader of a verification went away");
        }
    });
    Ok(response)
}

fn heads(fields: &mut Fields<'_>) -> Option<Vec<WitnessedHead>> {
    let heads = fields.each("heads", HEADS_MAX, |head| {
        let size = head.natural("size");
        if size.is_none() {
            head.fault("size", "is needed");
        }
        let root = Hash::from_base64(&head.required_text("root"));
        if let Err(error) = &root {
            head.fault("root", error.to_string());
        }
        size.zip(root.ok()).map(|(size, root)| WitnessedHead { size, root })
    });
    Some(heads.into_iter().flatten().collect())
}

async fn verify(
    surface: &Surface,
    query: &VerifyQuery,
    heads: Vec<WitnessedHead>,
    lines: &mut Lines,
) -> Result<(), ReaderGone> {
    let (sender, mut progress) = mpsc::channel(16);
    let verification = async {
        if query.quick == Some(true) {
            surface.hub.verify_ledger(heads, sender).await
        } else {
            surface.hub.verify_against(heads, sender).await
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
