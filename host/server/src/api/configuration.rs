//! Taking a changed configuration over.

use axum::Json;
use axum::extract::State;
use mihwar_hub::{ReloadError, ReloadReport};

use crate::http::lasting::to_the_end;
use crate::http::problem::ProblemView;
use crate::http::{Admin, Allowed, Problem, Sort};
use crate::surface::Surface;

/// Reload the configuration
///
/// Reads the file again. A bad file changes nothing and says why; work that is under way is not dropped. Takes as long as
/// new plugins take to compile, and goes on when its caller goes away.
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
    to_the_end(async move { surface.hub.reload().await.map(Json).map_err(refused) }).await
}

fn refused(error: ReloadError) -> Problem {
    match error {
        ReloadError::Config(error) => Problem::new(Sort::InvalidConfig, error.to_string()),
        ReloadError::Fault(fault) => fault.into(),
    }
}
