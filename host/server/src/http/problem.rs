//! The one shape in which this surface says no: problem details (RFC 9457).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use mihwar_hub::{Fault, QueryError};
use mihwar_model::FieldProblem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::catalogue::Sort;
use crate::json::Faults;

/// Media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// When to come back after others changed the same rows again and again.
const CONTENDED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// When to come back to a hub that has to be started again first.
const STOPPED_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, e.g. `scores[0].value`; a query key as it stands in the address.
    #[schema(example = "scores[0].value")]
    pub field: String,
    /// What is wrong and what would be right.
    #[schema(example = "11 is outside the scale 0 to 10")]
    pub message: String,
}

impl From<FieldProblem> for FieldError {
    fn from(problem: FieldProblem) -> Self {
        Self {
            field: problem.field,
            message: problem.message,
        }
    }
}

/// Why a request was not done (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView {
    /// Stable address of this sort of problem; it leads to a page that explains it.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid-field")]
    pub kind: String,
    /// What sort of problem it is, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time and what to do.
    pub detail: String,
    /// Every bad field, not only the first; of more than 100 the first 100, and the detail says how many there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// A refusal: what the caller reads, and beside it what only the log may know.
#[derive(Debug)]
pub(crate) struct Problem {
    sort: Sort,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    /// Methods for an `Allow` header.
    allow: Option<String>,
    /// For the log, never for the caller.
    private: Option<String>,
}

impl Problem {
    /// A problem of this sort.
    pub(crate) fn new(sort: Sort, detail: impl Into<String>) -> Self {
        Self {
            sort,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            allow: None,
            private: None,
        }
    }

    /// Fields that are wrong: all of them, up to as many as anybody reads.
    pub(crate) fn fields(faults: impl Into<Faults>) -> Self {
        let faults = faults.into();
        let detail = match (faults.told(), faults.untold()) {
            ([only], 0) => only.to_string(),
            (told, 0) => format!("{} fields are wrong; each is listed in \"errors\"", told.len()),
            (told, untold) => format!(
                "{} fields are wrong; the first {} are listed in \"errors\", {untold} more are not",
                told.len() + untold,
                told.len()
            ),
        };
        Self {
            errors: faults.into_told().into_iter().map(FieldError::from).collect(),
            ..Self::new(Sort::InvalidField, detail)
        }
    }

    /// A query that is wrong, with all its faults.
    pub(crate) fn query(faults: Faults) -> Self {
        Self {
            sort: Sort::InvalidQuery,
            ..Self::fields(faults)
        }
    }

    /// A body of more bytes than `limit`.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            Sort::TooLarge,
            format!("the body is larger than the {limit} bytes that this address takes"),
        )
    }

    /// The request was given up after `limit`.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let detail = format!("the request was given up after {seconds} s; whether it had an effect is not known");
        Self::new(Sort::Timeout, detail)
    }

    /// Something broke that the caller can do nothing about.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        let detail = "something went wrong in the hub; its log says what, under the request id of this answer";
        Self {
            private: Some(cause.to_string()),
            ..Self::new(Sort::Internal, detail)
        }
    }

    /// The hub has more to do than it can; the same request may be sent again after `after`.
    pub(crate) fn busy(after: Duration) -> Self {
        Self::later(Sort::Busy, "the hub has more to do than it can; try again", after)
    }

    /// Not now; the same request may be sent again after `after`.
    pub(crate) fn later(sort: Sort, detail: impl Into<String>, after: Duration) -> Self {
        Self {
            retry_after: Some(after),
            ..Self::new(sort, detail)
        }
    }

    /// There is nothing here, or nothing that the caller may know of.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Sort::NotFound, format!("there is no {what} here"))
    }

    /// The address exists, the method does not.
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let detail = format!("this address answers to {allow} only");
        Self {
            allow: Some(allow),
            ..Self::new(Sort::MethodNotAllowed, detail)
        }
    }

    /// What the log should know besides.
    pub(crate) fn with_private(mut self, cause: impl std::fmt::Display) -> Self {
        self.private = Some(cause.to_string());
        self
    }

    /// The status it is answered with.
    pub(crate) const fn status(&self) -> StatusCode {
        self.sort.status()
    }

    /// Writes what the caller must not see to the log.
    pub(crate) fn log(&self) {
        let Some(private) = &self.private else { return };
        let (problem, status) = (self.sort.slug(), self.status().as_u16());
        if self.status().is_server_error() {
            tracing::error!(problem, status, cause = private, "request failed");
        } else {
            tracing::info!(problem, status, cause = private, "request refused");
        }
    }

    /// What the caller reads. The private part is written to the log.
    pub(crate) fn into_view(self) -> ProblemView {
        self.log();
        ProblemView {
            kind: format!("/problems/{}", self.sort.slug()),
            title: self.sort.title().to_owned(),
            status: self.status().as_u16(),
            detail: self.detail,
            errors: self.errors,
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Busy { retry_after } => Self::busy(retry_after),
            Fault::Contended => Self::busy(CONTENDED_RETRY_AFTER),
            Fault::HeldBack { retry_after, .. } => {
                let detail = "the hub cannot mask what it must before it stores it; nothing was kept, try again";
                Self::later(Sort::Busy, detail, retry_after).with_private(fault)
            }
            Fault::NoSpace { .. } => {
                Self::new(Sort::NoSpace, "the disk of the hub is nearly full; nothing was kept").with_private(fault)
            }
            Fault::Full(_) => {
                Self::new(Sort::NoSpace, "the disk of the hub is full; nothing was kept").with_private(fault)
            }
            Fault::Stopped(_) => {
                let detail = "the disk of the hub failed or is full; nothing is written until there is room and the hub was started again";
                Self {
                    retry_after: Some(STOPPED_RETRY_AFTER),
                    ..Self::new(Sort::StoreStopped, detail).with_private(fault)
                }
            }
            Fault::TooLarge(detail) => Self::new(Sort::TooLarge, detail),
            Fault::Unknown => {
                let detail = "it is not known whether this was written; look before sending it again";
                Self::new(Sort::OutcomeUnknown, detail).with_private(fault)
            }
            other => Self::internal(other),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Cursor => Self::new(Sort::InvalidCursor, error.to_string()),
            QueryError::Fault(fault) => fault.into(),
        }
    }
}

impl Sort {
    /// How a caller would prove themselves, where that is what was missing.
    const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated => Some("Bearer realm=\"mihwar\""),
            // Which headers carry the signature is the plugin's to say, and stands in its manifest.
            Self::NotVerified => Some("Signature realm=\"hooks\""),
            _ => None,
        }
    }
}

/// Whole seconds, as the header wants them: never earlier than meant, and never at once.
fn retry_after_seconds(after: Duration) -> u64 {
    let begun = u64::from(after.subsec_nanos() > 0);
    after.as_secs().saturating_add(begun).max(1)
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let status = self.status();
        let (retry_after, allow) = (self.retry_after, self.allow.take());
        let challenge = self.sort.challenge();
        let body = serde_json::to_vec(&self.into_view()).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(after) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(after)));
        }
        if let Some(allow) = allow.and_then(|methods| HeaderValue::try_from(methods).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::{Problem, Sort};
    use axum::response::IntoResponse;
    use mihwar_hub::Fault;
    use mihwar_model::FieldProblem;
    use mihwar_store::StoreError;
    use std::time::Duration;

    #[test]
    fn the_caller_never_reads_the_private_part() {
        let view = Problem::internal("password of ليلى is wrong").into_view();
        assert_eq!(view.status, 500);
        assert!(!serde_json::to_string(&view).unwrap().contains("ليلى"));
    }

    #[test]
    fn every_bad_field_is_listed_and_one_alone_is_said_in_the_detail() {
        let one = Problem::fields(vec![FieldProblem::new("subject", "NUL")]).into_view();
        assert_eq!(one.detail, "subject: NUL");
        let two = Problem::fields(vec![FieldProblem::new("a", "x"), FieldProblem::new("b", "y")]).into_view();
        assert_eq!(two.errors.len(), 2);
        assert_eq!(two.kind, "/problems/invalid-field");
    }

    #[test]
    fn of_very_many_faults_the_first_are_listed_and_the_rest_counted() {
        let many: Vec<_> = (0..130).map(|i| FieldProblem::new(format!("حقل{i}"), "خطأ")).collect();
        let view = Problem::fields(many).into_view();
        assert_eq!(view.errors.len(), 100);
        assert!(
            view.detail.starts_with("130 fields") && view.detail.contains("30 more"),
            "{}",
            view.detail
        );
    }

    #[test]
    fn a_busy_answer_says_when_to_come_back() {
        let response = Problem::busy(Duration::from_millis(200)).into_response();
        assert_eq!(response.status(), Sort::Busy.status());
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["content-type"], super::PROBLEM_JSON);
        for (millis, seconds) in [(0, "1"), (1000, "1"), (1001, "2"), (2900, "3")] {
            let response = Problem::busy(Duration::from_millis(millis)).into_response();
            assert_eq!(response.headers()["retry-after"], seconds, "{millis} ms");
        }
    }

    #[test]
    fn an_outcome_that_nobody_knows_is_no_ordinary_fault() {
        let view = Problem::from(Fault::Unknown).into_view();
        assert_eq!((view.status, view.kind.as_str()), (500, "/problems/outcome-unknown"));
        assert!(view.detail.contains("look before sending it again"), "{}", view.detail);
    }

    #[test]
    fn a_full_disk_and_a_store_that_stopped_are_told_apart() {
        let full = Problem::from(Fault::Full("/فواتير/a: No space left on device".into()));
        let full = full.into_view();
        assert_eq!((full.status, full.kind.as_str()), (507, "/problems/no-space"));
        assert!(
            !full.detail.contains("فواتير"),
            "paths are for the log: {}",
            full.detail
        );
        let stopped = mihwar_hub::Fault::from(StoreError::Stopped {
            reason: "committing: No space left on device".into(),
        });
        let response = Problem::from(stopped).into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"60".parse().unwrap())
        );
    }

    #[test]
    fn whoever_is_not_recognised_is_told_how_to_be() {
        for (sort, scheme) in [(Sort::Unauthenticated, "Bearer "), (Sort::NotVerified, "Signature ")] {
            let response = Problem::new(sort, "…").into_response();
            assert_eq!(response.status(), 401);
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with(scheme), "{challenge}");
        }
        assert!(
            !Problem::new(Sort::Forbidden, "…")
                .into_response()
                .headers()
                .contains_key("www-authenticate")
        );
    }
}
