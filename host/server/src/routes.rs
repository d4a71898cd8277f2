//! Which address leads where, and what bounds it.

use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use mihwar_hub::Hub;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::api::{hooks, tiles};
use crate::document::{Document, name_answers_at_the_door};
use crate::http::layers;
use crate::serve::Metrics;
use crate::surface::Surface;
use crate::{api, feedback, page};

/// How long what monitors ask may take: they ask again soon, and must not pile up.
const VITAL_TIME_MAX: Duration = Duration::from_secs(5);

/// Everything the hub answers to. Requests should carry a [`crate::Peer`] in their extensions; one without counts as a
/// stranger's.
pub fn router(hub: Hub, metrics: &Metrics) -> Router {
    router_over(Surface::new(hub, metrics.handle()))
}

/// As [`router`], over what whoever serves keeps a hand on.
pub(crate) fn router_over(surface: Surface) -> Router {
    let config = surface.config();
    let server = &config.server;
    let body_limit = usize::try_from(server.body_limit.0).unwrap_or(usize::MAX);
    let Parts {
        exchanges,
        lasting,
        vital,
        document,
    } = Parts::new();
    // Their addresses have as many parts as their numbers need, which the description has no writing for.
    let tiles = Router::new()
        .route("/ledger/tile/entries/{*index}", get(tiles::get_entries))
        .route("/ledger/tile/{level}/{*index}", get(tiles::get_tile));
    let exchanges = exchanges.merge(tiles).merge(pages(&document));
    let hook = Router::new().route("/hooks/{instance}/{endpoint}", any(hooks::receive_hook));
    let all = layers::bound_exchange(exchanges, server.timeout.0, body_limit)
        .merge(layers::bound_time(hook, server.timeout.0))
        .merge(layers::bound_lasting(lasting, server.stream_timeout.0))
        .merge(layers::bound_time(vital, VITAL_TIME_MAX))
        .with_state(surface);
    layers::wrap(all)
}

/// The API's description as JSON (OpenAPI 3.1).
///
/// # Errors
/// Cannot fail in practice: every part of it has a JSON form.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    Parts::new().document.to_pretty_json()
}

fn pages(document: &OpenApi) -> Router<Surface> {
    // The usual validator is a service on the internet; nothing leaves this machine.
    let viewer = SwaggerUi::new("/api/docs")
        .url("/openapi.json", document.clone())
        .config(Config::default().validator_url("none").display_operation_id(true));
    Router::new()
        .route("/", get(page::show))
        .route("/assets/page.css", get(page::style))
        .route("/problems", get(page::problems::list))
        .route("/problems/{slug}", get(page::problems::show))
        .merge(viewer)
}

struct Parts {
    exchanges: Router<Surface>,
    lasting: Router<Surface>,
    vital: Router<Surface>,
    document: OpenApi,
}

impl Parts {
    fn new() -> Self {
        let (exchanges, mut of_exchanges) = feedback::exchanges().merge(api::exchanges()).split_for_parts();
        let (lasting, mut of_lasting) = feedback::lasting().merge(api::lasting()).split_for_parts();
        let (vital, of_vital) = api::vital().split_for_parts();
        // The hook answers to any method; its description names the usual one.
        let (_, mut of_hook) = OpenApiRouter::<Surface>::default()
            .routes(routes!(hooks::receive_hook))
            .split_for_parts();
        let (_, mut of_tiles) = OpenApiRouter::<Surface>::default()
            .routes(routes!(tiles::get_tile))
            .routes(routes!(tiles::get_entries))
            .split_for_parts();
        // Monitors are let in whatever comes.
        for part in [&mut of_exchanges, &mut of_lasting, &mut of_hook, &mut of_tiles] {
            name_answers_at_the_door(part);
        }
        let mut document = Document::openapi();
        for part in [of_exchanges, of_tiles, of_lasting, of_hook, of_vital] {
            document.merge(part);
        }
        Self {
            exchanges,
            lasting,
            vital,
            document,
        }
    }
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
