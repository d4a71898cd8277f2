//! Taking a changed configuration over.

use axum::Json;
use axum::extract::State;
use mihwar_hub::{ReloadError, ReloadReport};

use crate::http::problem::ProblemView;
use crate::http::{Admin, Allowed, Problem, Sort};
use crate::surface::Surface;

/// Reload the configuration
///
/// Reads the file again. A bad file changes nothing and says why; work that is under way is not dropped.
#[utoipa::path(
    post, path = "/api/v1/config:reload", tag = "hub",
    responses(
        (status = OK, body = Object, description = "Names of the instances that were `added`, `changed` and `removed`."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "The file is wrong; nothing changed."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn reload_config(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
) -> Result<Json<ReloadReport>, Problem> {
    surface.hub.reload().await.map(Json).map_err(|error| match error {
        ReloadError::Config(error) => Problem::new(Sort::InvalidConfig, error.to_string()),
        ReloadError::Fault(fault) => fault.into(),
    })
}
