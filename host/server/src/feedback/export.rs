//! Everything that matches, line by line, in constant memory. Tables are made of it by who wants them (`mihwar feedback
//! export`): they cost the hub nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use mihwar_hub::{Fault, FeedbackFilter, FeedbackPage, QueryError};
use tokio_util::task::AbortOnDropHandle;

use super::filter::{FeedbackQuery, read_filter};
use super::view::FeedbackView;
use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::query::{PAGE_MAX, read_query};
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson_to_the_end};
use crate::http::{Allowed, Problem, Read, Sort};
use crate::surface::Surface;

/// Export feedback
///
/// One record per line, newest first: all that was acknowledged before it was asked for, so it begins when the lists have
/// caught up with that. A line with `problem` at the end says that the export is not whole, and so does an answer that breaks
/// off. A record with `content_unreadable` is damaged: it stops nothing.
#[utoipa::path(
    get, path = "/api/v1/feedback:export", tag = "feedback",
    params(FeedbackQuery),
    responses(
        (status = OK, body = FeedbackView, content_type = "application/x-ndjson", description = "A record per line."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = TOO_MANY_REQUESTS, body = ProblemView, content_type = "application/problem+json", description = "This caller has as many streams open as one may; come back after Retry-After."),
        (status = SERVICE_UNAVAILABLE, body = ProblemView, content_type = "application/problem+json", description = "As many streams are open as the hub serves at once; come back after Retry-After."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn export_feedback(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    place: Place,
    uri: Uri,
) -> Result<Response, Problem> {
    let filter = read_query(&uri, read_filter)?;
    let (mut lines, response) = ndjson_to_the_end(place);
    tokio::spawn(async move {
        match export(&surface, &Arc::new(filter), &mut lines).await {
            Ok(()) => lines.finish(),
            Err(ReaderGone) => tracing::debug!("the reader of an export went away"),
        }
    });
    Ok(response)
}

/// Ends well when the lines tell how it ended, be it with a problem.
async fn export(surface: &Surface, filter: &Arc<FeedbackFilter>, lines: &mut Lines) -> Result<(), ReaderGone> {
    // A list may show a little less than everything while much comes in; an export may not.
    // Where nothing can be written any more, what is there is still told, and then that it is not all.
    let behind = surface.hub.catch_lists_up().await.err();
    let (mut next, mut damaged) = (Some(fetch(surface, filter, None)), 0);
    while let Some(coming) = next.take() {
        let page = match coming.await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return stopped(error.into(), lines).await,
            Err(error) => {
                tracing::error!("a page of an export: {error}");
                let detail = "a fault in the hub ended this export; its log says more";
                return stopped(Problem::new(Sort::Internal, detail), lines).await;
            }
        };
        damaged += page.damaged;
        next = page.next.map(|cursor| fetch(surface, filter, Some(cursor)));
        page.items
            .into_iter()
            .for_each(|record| lines.push(&FeedbackView::from(record)));
        lines.flush().await?;
    }
    match lacks(behind, damaged) {
        Some(problem) => stopped(problem, lines).await,
        None => Ok(()),
    }
}

/// A page that is fetched while the one before it is written down and sent: contents are opened on another core than that on
/// which JSON is written. There is never more than one, so a slow reader costs one page more.
fn fetch(
    surface: &Surface,
    filter: &Arc<FeedbackFilter>,
    cursor: Option<String>,
) -> AbortOnDropHandle<Result<FeedbackPage, QueryError>> {
    let (hub, filter) = (surface.hub.clone(), Arc::clone(filter));
    AbortOnDropHandle::new(tokio::spawn(async move {
        hub.feedback_page(&filter, cursor.as_deref(), PAGE_MAX).await
    }))
}

/// Why an export that came to its end is not whole, if it is not: the lists were `behind`, or so many records damaged.
fn lacks(behind: Option<QueryError>, damaged: u64) -> Option<Problem> {
    match (behind, damaged) {
        (Some(error), _) => Some(not_whole(error)),
        (None, 0) => None,
        (None, _) => {
            let detail = format!(
                "{damaged} of the records that were looked at are damaged in the hub, and are not in this export; all others \
                 are; whoever runs the hub learns which by: mihwar ledger verify"
            );
            Some(Problem::new(Sort::Damaged, detail))
        }
    }
}

fn not_whole(error: QueryError) -> Problem {
    match error {
        QueryError::Fault(Fault::NoSpace { .. }) => {
            let detail = "the disk of the hub is nearly full, and its lists cannot be brought up to date: the newest records \
                          may be missing from this export; make room, and export again";
            Problem::new(Sort::NoSpace, detail)
        }
        error => error.into(),
    }
}

async fn stopped(problem: Problem, lines: &mut Lines) -> Result<(), ReaderGone> {
    let problem = problem.into_view();
    lines.send(&Stopped { problem }).await
}

#[cfg(test)]
mod tests {
    use mihwar_hub::{Fault, QueryError};

    use super::lacks;

    #[test]
    fn an_export_without_some_records_says_so_at_its_end() {
        assert!(lacks(None, 0).is_none());
        let told = lacks(None, 3).unwrap().into_view();
        assert_eq!(told.kind, "/problems/damaged");
        assert!(told.detail.starts_with("3 of the records"), "{told:?}");
        let full = QueryError::Fault(Fault::NoSpace { free: 1, floor: 2 });
        assert_eq!(lacks(Some(full), 3).unwrap().into_view().kind, "/problems/no-space");
    }
}
