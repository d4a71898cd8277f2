//! Proofs that are handed out: receipts of feedback, and that one checkpoint grew out of another.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Uri, header};
use mihwar_hub::ProofRefusal;
use mihwar_ledger::{DocumentError, Receipt};
use mihwar_model::{FeedbackId, Language};
use utoipa::IntoParams;

use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::{Allowed, Problem, Read, Sort};
use crate::page;
use crate::surface::Surface;

/// For which checkpoint a receipt is wanted.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReceiptQuery {
    /// Entries of the checkpoint, which must have been signed; left out: the ledger as it is now.
    size: Option<u64>,
}

/// Which checkpoints are to be connected.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConsistencyQuery {
    /// Entries of the older checkpoint, which must have been signed.
    from: u64,
    /// Entries of the newer one; left out: the ledger as it is now.
    to: Option<u64>,
}

impl From<ProofRefusal> for Problem {
    fn from(refusal: ProofRefusal) -> Self {
        match refusal {
            ProofRefusal::Fault(fault) => fault.into(),
            ProofRefusal::NoFeedback => Self::not_found("such feedback"),
            ProofRefusal::NoCheckpoint { .. } => Self::new(Sort::NotFound, refusal.to_string()),
            ProofRefusal::TooOld { .. } | ProofRefusal::Order { .. } => Self::new(Sort::Conflict, refusal.to_string()),
        }
    }
}

/// Get a receipt
///
/// Proves that a piece of feedback is in the ledger: its events, their audit paths, and the signed checkpoint that these lead
/// to, in the format `mihwar-receipt/1`. Facts only, nothing personal. `mihwar ledger verify` checks it without the hub.
#[utoipa::path(
    get, path = "/api/v1/feedback/{id}/receipt", tag = "ledger",
    params(("id" = String, Path, description = "The hub's id of it."), ReceiptQuery),
    responses(
        (status = OK, body = serde_json::Value, content_type = "application/json", description = "The receipt."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such feedback, or no such checkpoint."),
        (status = CONFLICT, body = ProblemView, content_type = "application/problem+json", description = "It came in after that checkpoint."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_receipt(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let (_, receipt) = receipt(&surface, &id, &uri).await?;
    document(receipt.to_json())
}

/// Get a receipt as a page
///
/// The same for people: one page that needs nothing else, in Arabic for what was said in Arabic and else in English, with the
/// receipt as a QR code.
#[utoipa::path(
    get, path = "/api/v1/feedback/{id}/receipt.html", tag = "ledger",
    params(("id" = String, Path, description = "The hub's id of it."), ReceiptQuery),
    responses(
        (status = OK, body = String, content_type = "text/html", description = "The page."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such feedback, or no such checkpoint."),
        (status = CONFLICT, body = ProblemView, content_type = "application/problem+json", description = "It came in after that checkpoint."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_receipt_page(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let (id, receipt) = receipt(&surface, &id, &uri).await?;
    let record = surface.hub.feedback(id).await?;
    let language = record.and_then(|record| record.head.language);
    page::receipt::show(&receipt, language.as_ref().map(Language::as_str))
}

/// Connect two checkpoints
///
/// Proves that the ledger of one checkpoint only appended to the ledger of an older one, in the format
/// `mihwar-consistency/1`.
#[utoipa::path(
    get, path = "/api/v1/ledger/consistency", tag = "ledger",
    params(ConsistencyQuery),
    responses(
        (status = OK, body = serde_json::Value, content_type = "application/json", description = "The proof, with both checkpoints."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "No checkpoint of that size was signed."),
        (status = CONFLICT, body = ProblemView, content_type = "application/problem+json", description = "The sizes are the wrong way round."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_consistency(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = read_query(&uri, |fields| {
        if !fields.has("from") {
            fields.fault("from", "is needed");
        }
        ConsistencyQuery {
            from: fields.parsed("from").unwrap_or_default(),
            to: fields.parsed("to"),
        }
    })?;
    let proof = surface.hub.consistency(query.from, query.to).await?;
    document(proof.to_json())
}

async fn receipt(surface: &Surface, id: &str, uri: &Uri) -> Result<(FeedbackId, Receipt), Problem> {
    let query = read_query(uri, |fields| ReceiptQuery {
        size: fields.parsed("size"),
    })?;
    // What is no id leads to nothing, just as an unknown id does.
    let id: FeedbackId = id.parse().map_err(|_| Problem::not_found("such feedback"))?;
    Ok((id, surface.hub.receipt(id, query.size).await?))
}

fn document(json: Result<String, DocumentError>) -> Result<Response, Problem> {
    let json = json.map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use mihwar_ledger::{Checkpoint, Consistency, Receipt, VerifyingKey};
    use serde_json::json;

    use crate::testing::Bench;

    async fn say(bench: &Bench, language: &str) -> String {
        let record =
            json!({"kind": "complaint", "language": language, "body": "فاتورتي خاطئة", "author": {"name": "هدى"}});
        let made = bench.post("/api/v1/feedback", record.to_string()).await;
        made.json()["id"].as_str().unwrap().to_owned()
    }

    fn key(bench: &Bench) -> VerifyingKey {
        bench.hub.verifier_key().parse().unwrap()
    }

    #[tokio::test]
    async fn a_receipt_is_handed_out_and_holds_without_the_hub() {
        let bench = Bench::new().await;
        let id = say(&bench, "ar").await;
        let got = bench.get(&format!("/api/v1/feedback/{id}/receipt")).await;
        assert_eq!(
            (got.status, &got.headers["content-type"]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
        assert!(
            !got.text.contains("فاتورتي") && !got.text.contains("هدى"),
            "{}",
            got.text
        );
        let receipt = Receipt::from_json(got.text.as_bytes()).unwrap();
        assert_eq!(receipt.feedback, id);
        let size = receipt.verify(&key(&bench)).unwrap().size;

        say(&bench, "ar").await;
        let head = bench.get("/api/v1/ledger/checkpoint").await.text;
        let (held, _) = Checkpoint::open(&head, key(&bench).name(), &key(&bench)).unwrap();
        let bridge = bench
            .get(&format!("/api/v1/ledger/consistency?from={size}&to={}", held.size))
            .await;
        let bridge = Consistency::from_json(bridge.text.as_bytes()).unwrap();
        receipt.verify_against(&key(&bench), &held, Some(&bridge)).unwrap();
        // The same receipt again, for the checkpoint that was signed for it.
        let again = bench.get(&format!("/api/v1/feedback/{id}/receipt?size={size}")).await;
        assert_eq!(again.text, got.text);
    }

    #[tokio::test]
    async fn the_page_is_in_the_language_of_what_was_said_and_needs_nothing_else() {
        let bench = Bench::new().await;
        for (language, opening, word) in [
            ("ar-SA", "<html lang=\"ar\" dir=\"rtl\">", "إيصال"),
            ("en", "<html lang=\"en\" dir=\"ltr\">", "Receipt"),
            ("fr", "<html lang=\"en\" dir=\"ltr\">", "Receipt"),
        ] {
            let id = say(&bench, language).await;
            let page = bench.get(&format!("/api/v1/feedback/{id}/receipt.html")).await;
            assert_eq!(page.status, StatusCode::OK, "{page:?}");
            let limit = if language.starts_with("ar") {
                "لا قيود سواها"
            } else {
                "not that there are no others"
            };
            for wanted in [opening, word, id.as_str(), "<svg ", limit] {
                assert!(page.text.contains(wanted), "{wanted}: {}", page.text);
            }
            for foreign in ["فاتورتي", "هدى", "src=", "href=", "<script", "@import"] {
                assert!(!page.text.contains(foreign), "{foreign}: {}", page.text);
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_proved_is_refused_with_a_reason() {
        let bench = Bench::new().await;
        let id = say(&bench, "ar").await;
        let none = "01890000-0000-7000-8000-000000000000";
        for (path, status, said) in [
            (format!("/api/v1/feedback/{none}/receipt"), 404, "no such feedback"),
            (
                "/api/v1/feedback/no-id/receipt.html".to_owned(),
                404,
                "no such feedback",
            ),
            (
                format!("/api/v1/feedback/{id}/receipt?size=77"),
                404,
                "no checkpoint of 77",
            ),
            (format!("/api/v1/feedback/{id}/receipt?size=-1"), 400, "size"),
            ("/api/v1/ledger/consistency".to_owned(), 400, "from: is needed"),
            (
                "/api/v1/ledger/consistency?from=99".to_owned(),
                409,
                "did not grow out of",
            ),
        ] {
            let got = bench.get(&path).await;
            assert_eq!(got.status.as_u16(), status, "{path}: {}", got.text);
            assert!(got.text.contains(said), "{path}: {}", got.text);
        }
    }
}
