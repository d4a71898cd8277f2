//! The rest of the API: contacts, routing, deliveries, inbound requests, plugins, ledger, figures, imports, backups, tokens, configuration, health.

pub(crate) mod backup;
pub(crate) mod configuration;
pub(crate) mod contacts;
pub(crate) mod deliveries;
pub(crate) mod destinations;
pub(crate) mod exports;
pub(crate) mod feeds;
pub(crate) mod figures;
pub(crate) mod health;
pub(crate) mod hooks;
pub(crate) mod imports;
pub(crate) mod inbound;
pub(crate) mod ledger;
pub(crate) mod overview;
pub(crate) mod plugins;
pub(crate) mod proofs;
pub(crate) mod routing;
pub(crate) mod store;
pub(crate) mod tiles;
pub(crate) mod tokens;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::surface::Surface;

/// Which page of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct PageQuery {
    /// What `next` of the page before held; opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Records on the page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

/// How many were set on their way again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayedView {
    /// Their number.
    pub replayed: u64,
}

/// Addresses whose exchanges are short.
pub(crate) fn exchanges() -> OpenApiRouter<Surface> {
    OpenApiRouter::default()
        .routes(routes!(routing::get_routing))
        .routes(routes!(deliveries::list_deliveries))
        .routes(routes!(deliveries::get_delivery))
        .routes(routes!(destinations::list_destinations))
        .routes(routes!(destinations::resume_destination))
        .routes(routes!(feeds::acknowledge_feed))
        .routes(routes!(feeds::list_feed_cursors))
        .routes(routes!(feeds::remove_feed_cursor))
        .routes(routes!(inbound::list_inbound_dead_letters))
        .routes(routes!(plugins::list_plugins))
        .routes(routes!(overview::get_overview))
        .routes(routes!(ledger::get_checkpoint))
        .routes(routes!(tiles::get_newest_checkpoint))
        .routes(routes!(proofs::get_receipt))
        .routes(routes!(proofs::get_receipt_page))
        .routes(routes!(proofs::get_consistency))
        .routes(routes!(tokens::create_token, tokens::list_tokens))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(contacts::find_contact))
        .routes(routes!(contacts::get_contact_file))
}

/// Addresses that stream, or whose work may last.
pub(crate) fn lasting() -> OpenApiRouter<Surface> {
    OpenApiRouter::default()
        .routes(routes!(ledger::verify_ledger))
        .routes(routes!(exports::export_ledger))
        .routes(routes!(figures::make_figure))
        .routes(routes!(routing::try_routing))
        .routes(routes!(store::compact_store))
        .routes(routes!(imports::start_import))
        .routes(routes!(backup::get_backup))
        .routes(routes!(deliveries::replay_deliveries))
        .routes(routes!(destinations::check_destination))
        .routes(routes!(destinations::backfill_destination))
        .routes(routes!(feeds::read_feed))
        .routes(routes!(inbound::replay_inbound_dead_letters))
        .routes(routes!(configuration::reload_config))
        .routes(routes!(contacts::export_contact))
        .routes(routes!(contacts::erase_contact))
}

/// Addresses that must answer even when the hub is overloaded.
pub(crate) fn vital() -> OpenApiRouter<Surface> {
    OpenApiRouter::default()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::read_metrics))
}
