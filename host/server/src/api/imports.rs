//! Reading files of this machine through a channel plugin.

use std::path::PathBuf;

use axum::extract::State;
use axum::response::Response;
use mihwar_hub::{ImportError, ImportProgress, ImportReport};
use mihwar_model::{Actor, InstanceName};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::http::body::JsonBody;
use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Admin, Allowed, Problem, Sort};
use crate::json::{Fields, read_object};
use crate::surface::Surface;

/// Most files and folders that one import is told of; folders hold as many as they like.
const PATHS_MAX: usize = 50_000;

/// What to import, through which instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportInput {
    /// The channel instance.
    #[schema(example = "mail")]
    pub instance: String,
    /// Absolute paths of files and folders on the hub's machine.
    pub paths: Vec<String>,
}

/// One line of an import.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportLine {
    /// It goes on: counts of files, bytes and records.
    #[schema(value_type = Object)]
    Progress(ImportProgress),
    /// The last line: what came of it, with every refusal.
    #[schema(value_type = Object)]
    Report(ImportReport),
    /// The last line of one that could not go on.
    Problem(ProblemView),
}

/// Import files
///
/// Reads files and folders of the hub's own machine through a channel plugin. Lines of progress, then the report with every
/// refusal. Only through the hub's own socket: no token opens the files of that machine. Stopping and starting again goes on where it was; importing the same files again adds nothing.
#[utoipa::path(
    post, path = "/api/v1/imports", tag = "imports",
    request_body = ImportInput,
    responses(
        (status = OK, body = ImportLine, content_type = "application/x-ndjson", description = "Progress, then the report."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "Fields are wrong."),
        (status = FORBIDDEN, body = ProblemView, content_type = "application/problem+json", description = "Not asked at the machine itself."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn start_import(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Response, Problem> {
    if caller.actor != Actor::Console {
        // A token is authority over the hub, not over the files of its machine.
        let detail = "an import reads files of the hub's own machine: run `mihwar import` there";
        return Err(Problem::new(Sort::Forbidden, detail));
    }
    let (instance, paths) = read_object(value, wanted).map_err(Problem::fields)?;
    // Those at the console need no place.
    let (mut lines, response) = ndjson(Place::default());
    tokio::spawn(async move {
        if import(&surface, caller.actor, &instance, paths, &mut lines)
            .await
            .is_err()
        {
            tracing::info!("an import ended because its reader went away; it can be started again");
        }
    });
    Ok(response)
}

fn wanted(fields: &mut Fields<'_>) -> Option<(InstanceName, Vec<PathBuf>)> {
    if !fields.has("instance") {
        fields.fault("instance", "is needed");
    }
    let instance = fields.parsed("instance");
    let paths: Vec<PathBuf> = fields.each_parsed("paths", PATHS_MAX);
    if paths.is_empty() {
        fields.fault("paths", "name at least one file or folder");
    }
    for (i, path) in paths.iter().enumerate() {
        if !path.is_absolute() {
            fields.fault(
                &format!("paths[{i}]"),
                "should be an absolute path on the hub's machine",
            );
        }
    }
    instance.map(|instance| (instance, paths))
}

async fn import(
    surface: &Surface,
    actor: Actor,
    instance: &InstanceName,
    paths: Vec<PathBuf>,
    lines: &mut Lines,
) -> Result<(), ReaderGone> {
    let (sender, mut progress) = mpsc::channel(16);
    let import = surface.hub.import(actor, instance, paths, sender);
    tokio::pin!(import);
    let outcome = loop {
        tokio::select! {
            Some(step) = progress.recv() => lines.send(&ImportLine::Progress(step)).await?,
            outcome = &mut import => break outcome,
        }
    };
    match outcome {
        Ok(report) => lines.send(&ImportLine::Report(report)).await,
        Err(error) => {
            lines
                .send(&Stopped {
                    problem: import_failed(error).into_view(),
                })
                .await
        }
    }
}

fn import_failed(error: ImportError) -> Problem {
    match error {
        ImportError::UnknownInstance(_) => Problem::new(Sort::NotFound, error.to_string()),
        ImportError::Path { .. } => Problem::new(Sort::InvalidRequest, error.to_string()),
        ImportError::Fault(fault) => fault.into(),
    }
}
