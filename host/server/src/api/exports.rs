//! The ledger as one file, for outsiders.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{Uri, header};
use mihwar_hub::{ExportRefusal, RunningExport, Scope};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::{Allowed, Problem, Read, Sort};
use crate::surface::Surface;

/// What the bundle shall hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct LedgerExportQuery {
    /// `true`: also what people said, with the salts that let it be checked. What of it is damaged is left out, and named in
    /// the files `content/…/missing.ndjson` of the bundle. Needs the scope `admin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<bool>,
}

/// Export the ledger
///
/// Streams a bundle: every entry, the tree over them, a checkpoint that is signed for it, those that were kept, the public key,
/// and a description of all that. From it a stranger checks the whole history without the hub. Facts only, nothing personal,
/// unless `content` is asked for. Whether it came whole shows at its end: let `mihwar ledger export` fetch it, or check the
/// file with `mihwar ledger verify`. One at a time.
#[utoipa::path(
    get, path = "/api/v1/ledger:export", tag = "ledger",
    params(LedgerExportQuery),
    responses(
        (status = OK, body = Vec<u8>, content_type = "application/x-tar", description = "The bundle."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = CONFLICT, body = ProblemView, content_type = "application/problem+json", description = "The ledger is being exported already."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn export_ledger(
    Allowed(caller, _): Allowed<Read>,
    State(surface): State<Surface>,
    place: Place,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = read_query(&uri, |fields| LedgerExportQuery {
        content: fields.parsed("content"),
    })?;
    let with_content = query.content == Some(true);
    if with_content && !caller.may(Scope::Admin) {
        let detail = format!("what people said needs a token with the scope {}", Scope::Admin);
        return Err(Problem::new(Sort::Forbidden, detail));
    }
    let RunningExport { chunks } = surface.hub.export_ledger(with_content).await?;
    let stream = stream::unfold((chunks, place), |(mut chunks, place)| async {
        let chunk = chunks.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), (chunks, place)))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], Body::from_stream(stream)).into_response())
}

impl From<ExportRefusal> for Problem {
    fn from(refusal: ExportRefusal) -> Self {
        match refusal {
            ExportRefusal::Running => Self::new(Sort::Conflict, refusal.to_string()),
            ExportRefusal::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use http_body_util::BodyExt;
    use mihwar_hub::{ExportRefusal, Scope};
    use mihwar_ledger::Bundle;
    use serde_json::json;
    use tower::ServiceExt;

    use crate::Peer;
    use crate::http::Problem;
    use crate::testing::{Bench, far_away};

    const PATH: &str = "/api/v1/ledger:export";

    fn request(path: &str, token: Option<&str>) -> Request<Body> {
        let mut request = Request::builder().uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer = token.map_or(Peer::Console, |_| far_away());
        request.extensions_mut().insert(peer);
        request
    }

    async fn say(bench: &Bench) {
        let record = json!({"kind": "complaint", "body": "فاتورتي خاطئة", "author": {"name": "هدى"}});
        let made = bench.post("/api/v1/feedback", record.to_string()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    }

    async fn exported(bench: &Bench, path: &str, token: Option<&str>) -> (StatusCode, Vec<u8>) {
        let response = bench.routes.clone().oneshot(request(path, token)).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, body.collect().await.unwrap().to_bytes().to_vec())
    }

    fn holds(bytes: &[u8], word: &str) -> bool {
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    }

    #[tokio::test]
    async fn a_bundle_is_handed_out_and_holds_without_the_hub() {
        let bench = Bench::new().await;
        say(&bench).await;
        let reader = bench.token(Scope::FeedbackRead).await;
        let (status, bytes) = exported(&bench, PATH, Some(&reader)).await;
        assert_eq!(status, StatusCode::OK);
        let key = bench.hub.verifier_key().parse().unwrap();
        let mut bundle = Bundle::begin(&bytes[..], Some(&key)).unwrap();
        assert!(bundle.events().all(|event| event.is_ok()));
        assert!(bundle.size() > 1 && bundle.size() == bundle.checkpoint().size);
        assert!(!holds(&bytes, "فاتورتي") && !holds(&bytes, "هدى"));
    }

    #[tokio::test]
    async fn what_people_said_is_handed_out_to_admins_alone() {
        let bench = Bench::new().await;
        say(&bench).await;
        let path = format!("{PATH}?content=true");
        for (scope, wanted) in [
            (Scope::FeedbackWrite, StatusCode::FORBIDDEN),
            (Scope::FeedbackRead, StatusCode::FORBIDDEN),
            (Scope::Admin, StatusCode::OK),
        ] {
            let token = bench.token(scope).await;
            let (status, bytes) = exported(&bench, &path, Some(&token)).await;
            assert_eq!(status, wanted);
            assert_eq!(holds(&bytes, "فاتورتي"), status == StatusCode::OK);
        }
        assert_eq!(
            bench.get(&format!("{PATH}?content=maybe")).await.status,
            StatusCode::BAD_REQUEST
        );
    }

    #[tokio::test]
    async fn one_export_at_a_time() {
        let bench = Bench::new().await;
        let mut first = bench.hub.export_ledger(false).await.unwrap();
        let refused = bench.hub.export_ledger(false).await.unwrap_err();
        assert!(matches!(refused, ExportRefusal::Running), "{refused}");
        assert_eq!(Problem::from(refused).into_view().status, 409);
        while first.chunks.recv().await.is_some() {}
        let (status, bytes) = exported(&bench, PATH, None).await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            Bundle::begin(&bytes[..], None)
                .unwrap()
                .events()
                .all(|event| event.is_ok())
        );
    }
}
