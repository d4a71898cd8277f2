//! Feedback over the API: in (one, or a stream), and out (a page, one with its story, or everything).

pub(crate) mod accept;
pub(crate) mod batch;
pub(crate) mod export;
mod filter;
pub(crate) mod input;
mod read;
pub(crate) mod statuses;
pub(crate) mod view;
pub(crate) mod wire;

pub use filter::FeedbackQuery;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::surface::Surface;

/// Addresses whose exchanges are short.
pub(crate) fn exchanges() -> OpenApiRouter<Surface> {
    OpenApiRouter::default()
        .routes(routes!(accept::create_feedback, read::list_feedback))
        .routes(routes!(read::get_feedback))
}

/// Addresses that stream.
pub(crate) fn lasting() -> OpenApiRouter<Surface> {
    OpenApiRouter::default()
        .routes(routes!(batch::create_feedback_batch))
        .routes(routes!(export::export_feedback))
}

#[cfg(test)]
mod tests;
