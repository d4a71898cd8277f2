//! Feedback, a page at a time or one with its story.

use axum::Json;
use axum::extract::{Path, State};
use http::Uri;
use mihwar_hub::QueryError;
use mihwar_model::FeedbackId;

use super::filter::{FeedbackQuery, read_filter};
use super::statuses::statuses;
use super::view::{EventView, FeedbackDetailView, FeedbackPageView, FeedbackView, deliveries};
use crate::api::PageQuery;
use crate::http::problem::ProblemView;
use crate::http::query::{PageWanted, read_query};
use crate::http::{Allowed, Problem, Read};
use crate::surface::Surface;

/// List feedback
///
/// Newest first. What was accepted before this request came in is seen by it.
#[utoipa::path(
    get, path = "/api/v1/feedback", tag = "feedback",
    params(FeedbackQuery, PageQuery),
    responses(
        (status = OK, body = FeedbackPageView, description = "A page."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn list_feedback(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    uri: Uri,
) -> Result<Json<FeedbackPageView>, Problem> {
    let (filter, page) = read_query(&uri, |fields| (read_filter(fields), PageWanted::read(fields)))?;
    let found = surface
        .hub
        .feedback_page(&filter, page.cursor.as_deref(), page.limit)
        .await?;
    let items = found.items.into_iter().map(FeedbackView::from).collect();
    Ok(Json(FeedbackPageView {
        items,
        next: found.next,
    }))
}

/// Get one piece of feedback
///
/// With every event of the ledger that tells of it, where it went, and what departments say became of it there.
#[utoipa::path(
    get, path = "/api/v1/feedback/{id}", tag = "feedback",
    params(("id" = String, Path, description = "The hub's id of it.")),
    responses(
        (status = OK, body = FeedbackDetailView, description = "The record and its story."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is none with this id."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_feedback(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    Path(id): Path<String>,
) -> Result<Json<FeedbackDetailView>, Problem> {
    // What is no id leads to nothing, just as an unknown id does.
    let id: FeedbackId = id.parse().map_err(|_| Problem::not_found("such feedback"))?;
    let detail = detail(&surface, id).await?;
    detail.map(Json).ok_or_else(|| Problem::not_found("such feedback"))
}

async fn detail(surface: &Surface, id: FeedbackId) -> Result<Option<FeedbackDetailView>, QueryError> {
    let Some(record) = surface.hub.feedback(id).await? else {
        return Ok(None);
    };
    let history = surface.hub.feedback_history(id).await?;
    let sent = surface.hub.feedback_deliveries(id).await?;
    let reported = surface.hub.feedback_statuses(&history).await?;
    Ok(Some(FeedbackDetailView {
        feedback: FeedbackView::from(record),
        events: history.into_iter().map(EventView::from).collect(),
        deliveries: deliveries(sent),
        statuses: statuses(reported),
    }))
}
