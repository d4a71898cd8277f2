//! Everything that matches, line by line, in constant memory. Tables are made of it by who wants them (`mihwar feedback
//! export`): they cost the hub nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use mihwar_hub::{Fault, FeedbackFilter, FeedbackPage, QueryError};
use mihwar_model::FeedbackId;
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use super::filter::{FeedbackQuery, read_filter};
use super::view::FeedbackView;
use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::query::{PAGE_MAX, read_query};
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson_to_the_end};
use crate::http::{Allowed, Problem, Read, Sort};
use crate::surface::Surface;

/// Records that are named at the end of an export, at most.
const NAMED_MAX: usize = 1_000;

/// The last line of an export that came to its end without some records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportEnd {
    /// That it is not whole, and what to do.
    pub problem: ProblemView,
    /// What is missing. A line with a problem and without this says that the export came to no end.
    pub left_out: LeftOut,
}

/// Records of which what the hub makes its lists of is damaged: whether they match, nobody can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// How many there are.
    pub records: u64,
    /// Their ids, newest first; not more than the first 1 000.
    pub ids: Vec<String>,
}

impl ExportEnd {
    fn of(left_out: LeftOut) -> Self {
        let records = left_out.records;
        let detail = format!(
            "{records} of the records that were looked at are damaged in the hub's lists, and are not in this export; all others \
             are; whoever runs the hub puts them right, with the hub stopped, by: mihwar doctor --rebuild"
        );
        Self {
            problem: Problem::new(Sort::Damaged, detail).into_view(),
            left_out,
        }
    }
}

impl LeftOut {
    fn add(&mut self, damaged: &[FeedbackId]) {
        self.records += damaged.len() as u64;
        let room = NAMED_MAX.saturating_sub(self.ids.len());
        self.ids.extend(damaged.iter().take(room).map(ToString::to_string));
    }
}

/// Export feedback
///
/// One record per line, newest first: all that was acknowledged before it was asked for, so it begins when the lists have
/// caught up with that. A line with `problem` at the end says that the export is not whole, and so does an answer that breaks
/// off. A record with `content_unreadable` is damaged: it stops nothing. Nor does one that is damaged in the hub's lists: it is left
/// out, and the last line then has `left_out` beside its `problem`, with how many `records` these are and their `ids`, up to 1 000.
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
    let (mut next, mut left_out) = (Some(fetch(surface, filter, None)), LeftOut::default());
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
        left_out.add(&page.damaged);
        next = page.next.map(|cursor| fetch(surface, filter, Some(cursor)));
        page.items
            .into_iter()
            .for_each(|record| lines.push(&FeedbackView::from(record)));
        lines.flush().await?;
    }
    match behind {
        Some(error) => stopped(not_whole(error), lines).await,
        None if left_out.records > 0 => lines.send(&ExportEnd::of(left_out)).await,
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
    use mihwar_model::FeedbackId;

    use super::{ExportEnd, LeftOut, NAMED_MAX, not_whole};

    #[test]
    fn an_export_without_some_records_names_them_at_its_end() {
        let mut left_out = LeftOut::default();
        left_out.add(&[1, 2, 3].map(|number| FeedbackId::from_bytes([number; 16])));
        let ids = left_out.ids.clone();
        let end = ExportEnd::of(left_out);
        assert_eq!(end.problem.kind, "/problems/damaged");
        assert!(end.problem.detail.starts_with("3 of the records"), "{end:?}");
        assert!(end.problem.detail.contains("mihwar doctor --rebuild"), "{end:?}");
        assert_eq!(ids[1], FeedbackId::from_bytes([2; 16]).to_string());
        let line = serde_json::to_string(&end).unwrap();
        assert!(line.starts_with("{\"problem\":"), "{line}");
        assert_eq!(serde_json::from_str::<ExportEnd>(&line).unwrap(), end);
    }

    #[test]
    fn not_more_are_named_than_fit_on_a_line_and_all_are_counted() {
        let mut left_out = LeftOut::default();
        for _ in 0..=NAMED_MAX {
            left_out.add(&[FeedbackId::from_bytes([7; 16])]);
        }
        assert_eq!(
            (left_out.records, left_out.ids.len()),
            (NAMED_MAX as u64 + 1, NAMED_MAX)
        );
    }

    #[test]
    fn lists_that_cannot_follow_are_told_as_such() {
        let full = QueryError::Fault(Fault::NoSpace { free: 1, floor: 2 });
        assert_eq!(not_whole(full).into_view().kind, "/problems/no-space");
    }
}
