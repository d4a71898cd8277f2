//! What the hub holds about a person, and its erasure.

use std::str::FromStr;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Uri, header};
use mihwar_hub::{ContactFacts, ContactRecord, EraseRefusal, ErasureReport, QueryError};
use mihwar_model::{AttachmentId, ContactId, Identifier, Tag, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::feedback::view::{ContentView, EventView, FeedbackDetailView, FeedbackView, actor, deliveries};
use crate::http::body::JsonBody;
use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Admin, Allowed, Problem, Sort};
use crate::json::read_object;
use crate::surface::Surface;

/// When to try again while something of a contact is on its way.
const ON_ITS_WAY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactQuestion {
    /// What the person is known by: the scheme, a colon and the handle, as they stand in a record.
    #[schema(example = "tel:+966501234567")]
    pub identifier: String,
}

/// Who was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactFound {
    /// The hub's id of the contact.
    pub contact: String,
}

/// What is known of a contact beside its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Contact)]
pub struct ContactView {
    /// The hub's id of it.
    pub contact: String,
    /// When the hub first heard of it.
    #[schema(value_type = String, format = DateTime)]
    pub since: Time,
    /// When it was erased: nothing personal is left then.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub erased_at: Option<Time>,
    /// Why nothing of it is erased: a legal hold.
    pub hold: Option<String>,
    /// Instances as they are configured now, with the personal fields that each may read of what reaches it.
    pub readers: Vec<ReaderView>,
    /// Stored requests of other systems that are no records yet: nobody can tell whose they are without reading them.
    pub requests_unread: u64,
}

/// An instance that may see personal fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Reader)]
pub struct ReaderView {
    /// Its name.
    pub instance: String,
    /// The plugin that it runs.
    pub plugin: String,
    /// Personal fields that it was granted.
    pub fields: Vec<String>,
}

/// A record of a contact, with everything that is held about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContactRecordView {
    /// The record with its story.
    #[serde(flatten)]
    pub detail: FeedbackDetailView,
    /// What every revision said, from the first.
    pub revisions: Vec<RevisionView>,
}

/// What one revision said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Revision)]
pub struct RevisionView {
    /// 1 for the first.
    pub revision: u32,
    /// The personal part; null where it is gone.
    pub content: Option<ContentView>,
}

/// One line of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactLine {
    /// The first line.
    #[schema(value_type = Object)]
    Contact(ContactView),
    /// A record, newest first.
    #[schema(value_type = Object)]
    Record(Box<ContactRecordView>),
    /// The last line of a whole export: how many records there were.
    End(u64),
    /// The last line of one that could not go on.
    Problem(ProblemView),
}

/// Whose records are exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContactQuery {
    /// The hub's id of the contact.
    pub contact: String,
}

/// Who is erased, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseInput {
    /// The hub's id of the contact.
    pub contact: String,
    /// A slug: it stands in the ledger for ever, so it names nobody.
    #[schema(example = "subject-request")]
    pub reason: String,
}

/// An erasure that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureView {
    /// Who is erased.
    pub contact: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Who had it done: `console` or `token:ID`.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Pieces of feedback that the ledger tells of as theirs.
    pub records: u64,
    /// Contents destroyed now, one for each revision.
    pub contents: u64,
    /// Stored files destroyed now.
    pub files: u64,
    /// Deliveries that are not made any more.
    pub withheld: u64,
    /// Deliveries that tell departments to destroy their copies.
    pub told: u64,
    /// Where the ledger has the certificate.
    pub sequence: u64,
}

impl From<ContactFacts> for ContactView {
    fn from(facts: ContactFacts) -> Self {
        let readers = facts.readers.into_iter().map(|reader| ReaderView {
            instance: reader.instance.to_string(),
            plugin: reader.plugin.to_string(),
            fields: reader.fields,
        });
        Self {
            contact: facts.contact.to_string(),
            since: facts.since,
            erased_at: facts.erased_at,
            hold: facts.hold,
            readers: readers.collect(),
            requests_unread: facts.requests_unread,
        }
    }
}

impl From<ContactRecord> for ContactRecordView {
    fn from(record: ContactRecord) -> Self {
        let revisions = record.revisions.into_iter().map(|(revision, content)| RevisionView {
            revision,
            content: content.map(ContentView::from),
        });
        Self {
            revisions: revisions.collect(),
            detail: FeedbackDetailView {
                feedback: FeedbackView::from(record.record),
                events: record.events.into_iter().map(EventView::from).collect(),
                deliveries: deliveries(record.deliveries),
            },
        }
    }
}

impl From<ErasureReport> for ErasureView {
    fn from(report: ErasureReport) -> Self {
        Self {
            contact: report.contact.to_string(),
            at: report.at,
            by: actor(&report.by),
            reason: report.reason.to_string(),
            records: report.records,
            contents: report.contents,
            files: report.files,
            withheld: report.withheld,
            told: report.told,
            sequence: report.sequence,
        }
    }
}

impl From<EraseRefusal> for Problem {
    fn from(refusal: EraseRefusal) -> Self {
        match refusal {
            EraseRefusal::Unknown(_) => Self::new(Sort::NotFound, refusal.to_string()),
            EraseRefusal::Already { .. } | EraseRefusal::Held { .. } => Self::new(Sort::Conflict, refusal.to_string()),
            EraseRefusal::OnItsWay(_) => Self::later(Sort::Conflict, refusal.to_string(), ON_ITS_WAY_RETRY_AFTER),
            EraseRefusal::Fault(fault) => fault.into(),
        }
    }
}

/// What somebody is known by, as text.
struct Known(Identifier);

impl FromStr for Known {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once(':');
        let Some((scheme, id)) = parts.filter(|(scheme, id)| !scheme.is_empty() && !id.is_empty()) else {
            return Err("should be a scheme, a colon and a handle, such as tel:+966501234567");
        };
        Ok(Self(Identifier {
            scheme: scheme.to_owned(),
            id: id.to_owned(),
        }))
    }
}

/// Find a contact
///
/// By what the person is known by: the first identifier of the author of a record. What is asked for stands in the body, so
/// that it comes into no log.
#[utoipa::path(
    post, path = "/api/v1/contacts:find", tag = "contacts",
    request_body = ContactQuestion,
    responses(
        (status = OK, body = ContactFound, description = "Who it is."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "Nobody is known by it, or nobody any more."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "It is no identifier."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn find_contact(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Json<ContactFound>, Problem> {
    let read = read_object(value, |fields| {
        if !fields.has("identifier") {
            fields.fault("identifier", "is needed");
        }
        fields.parsed::<Known>("identifier")
    });
    let Known(identifier) = read.map_err(Problem::fields)?;
    let found = surface.hub.contact_find(&identifier).await?;
    let contact = found.ok_or_else(|| Problem::not_found("contact that is known by this"))?;
    Ok(Json(ContactFound {
        contact: contact.to_string(),
    }))
}

/// Export a contact
///
/// Everything that is held about a person, line by line: first the contact, then each record with all its revisions, every
/// event of the ledger that tells of it and where it went, then the number of records. Files that came with records are
/// fetched one by one.
#[utoipa::path(
    get, path = "/api/v1/contacts:export", tag = "contacts",
    params(ContactQuery),
    responses(
        (status = OK, body = ContactLine, content_type = "application/x-ndjson", description = "The contact, its records, the end."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is none with this id."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn export_contact(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    place: Place,
    uri: Uri,
) -> Result<Response, Problem> {
    let contact = read_query(&uri, |fields| {
        if !fields.has("contact") {
            fields.fault("contact", "is needed");
        }
        fields.parsed::<ContactId>("contact")
    })?;
    let contact = contact.ok_or_else(|| Problem::not_found("such contact"))?;
    let facts = surface.hub.contact_facts(contact).await?;
    let facts = facts.ok_or_else(|| Problem::not_found("such contact"))?;
    let (mut lines, response) = ndjson(place);
    tokio::spawn(async move {
        lines.push(&ContactLine::Contact(facts.into()));
        if records(&surface, contact, &mut lines).await.is_err() {
            tracing::debug!("the reader of a contact's export went away");
        }
    });
    Ok(response)
}

async fn records(surface: &Surface, contact: ContactId, lines: &mut Lines) -> Result<(), ReaderGone> {
    // A list may show a little less than everything while much comes in; what is held about a person may not.
    if let Err(error) = surface.hub.catch_lists_up().await {
        return stopped(error, lines).await;
    }
    let (mut cursor, mut records) = (None, 0);
    loop {
        let page = match surface.hub.contact_page(contact, cursor.as_deref()).await {
            Ok(page) => page,
            Err(error) => return stopped(error, lines).await,
        };
        records += page.items.len() as u64;
        for record in page.items {
            lines.push(&ContactLine::Record(Box::new(record.into())));
        }
        lines.flush().await?;
        match page.next {
            Some(next) => cursor = Some(next),
            None => return lines.send(&ContactLine::End(records)).await,
        }
    }
}

async fn stopped(error: QueryError, lines: &mut Lines) -> Result<(), ReaderGone> {
    lines
        .send(&Stopped {
            problem: Problem::from(error).into_view(),
        })
        .await
}

/// Get a contact's file
///
/// One that came with something that the contact said.
#[utoipa::path(
    get, path = "/api/v1/contacts/{id}/files/{file}", tag = "contacts",
    params(
        ("id" = String, Path, description = "The hub's id of the contact."),
        ("file" = String, Path, description = "The id of the attachment."),
    ),
    responses(
        (status = OK, body = Vec<u8>, content_type = "application/octet-stream", description = "The file."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is none with this id that is theirs."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn get_contact_file(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    Path((id, file)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("such file of this contact");
    let contact: ContactId = id.parse().map_err(|_| unknown())?;
    let file: AttachmentId = file.parse().map_err(|_| unknown())?;
    let bytes = surface.hub.contact_file(contact, file).await?.ok_or_else(unknown)?;
    // Whatever a stranger sent: nothing that a browser would show or run.
    let headers = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((headers, bytes).into_response())
}

/// Erase a contact
///
/// Destroys everything personal that is held about a person, withholds what is not delivered yet, and has departments told
/// to destroy their copies. The facts and the proofs stay. There is no way back.
#[utoipa::path(
    post, path = "/api/v1/contacts:erase", tag = "contacts",
    request_body = EraseInput,
    responses(
        (status = OK, body = ErasureView, description = "The certificate, as the ledger has it, and what was done."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is none with this id."),
        (status = CONFLICT, body = ProblemView, content_type = "application/problem+json", description = "It was erased before, a legal hold is on it, or something of it is on its way at this moment. Nothing was changed."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "Fields are wrong."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn erase_contact(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Json<ErasureView>, Problem> {
    let read = read_object(value, |fields| {
        for needed in ["contact", "reason"] {
            if !fields.has(needed) {
                fields.fault(needed, "is needed");
            }
        }
        let contact = fields.parsed::<ContactId>("contact");
        let reason = fields.parsed::<Tag>("reason");
        contact.zip(reason)
    });
    let (contact, reason) = read.map_err(Problem::fields)?;
    let report = surface.hub.contact_erase(&caller.actor, contact, &reason).await?;
    Ok(Json(report.into()))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::testing::Bench;

    const NOBODY: &str = "0192f0c1-7a5e-7c3d-9b1e-0a1b2c3d4e5f";

    #[tokio::test]
    async fn a_person_is_found_exported_erased_and_then_unknown() {
        let bench = Bench::new().await;
        let record = json!({
            "external_id": "١",
            "body": "لم يصلني الرد",
            "author": { "name": "هدى العلي", "identifiers": [{ "scheme": "tel", "id": "+966501234567" }] },
            "attachments": [{ "name": "صورة.png", "media_type": "image/png", "content_base64": "AAEC" }],
        });
        let made = bench.post("/api/v1/feedback", record.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let question = json!({ "identifier": "tel:+966501234567" }).to_string();
        let found = bench.post("/api/v1/contacts:find", question.clone()).await.json();
        let contact = found["contact"].as_str().unwrap().to_owned();

        let lines = bench
            .get(&format!("/api/v1/contacts:export?contact={contact}"))
            .await
            .lines();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0]["contact"]["contact"], contact.as_str());
        let said = &lines[1]["record"];
        assert_eq!(said["revisions"][0]["content"]["author"]["name"], "هدى العلي");
        assert_eq!(said["events"][0]["event"]["type"], "received");
        assert_eq!(lines[2]["end"], 1);
        let file = said["content"]["attachments"][0]["id"].as_str().unwrap();
        let file = format!("/api/v1/contacts/{contact}/files/{file}");
        let fetched = bench.get(&file).await;
        assert_eq!(
            (fetched.status.as_u16(), fetched.text.as_str()),
            (200, "\u{0}\u{1}\u{2}")
        );

        let erase = "/api/v1/contacts:erase";
        let why = json!({ "contact": contact, "reason": "subject-request" }).to_string();
        let erased = bench.post(erase, why.clone()).await;
        assert_eq!(erased.status, 200, "{}", erased.text);
        let erased = erased.json();
        assert_eq!((&erased["records"], &erased["files"]), (&json!(1), &json!(1)));
        assert_eq!(erased["by"], "console");
        assert_eq!(bench.get(&file).await.status, 404);
        assert_eq!(bench.post("/api/v1/contacts:find", question).await.status, 404);
        let again = bench.post(erase, why).await;
        assert_eq!(again.status, 409, "{}", again.text);
        let lines = bench
            .get(&format!("/api/v1/contacts:export?contact={contact}"))
            .await
            .lines();
        assert!(lines[0]["contact"]["erased_at"].is_string());
        let left = lines[1].to_string();
        assert!(!left.contains("هدى") && !left.contains("الرد"), "{left}");
    }

    #[tokio::test]
    async fn what_is_no_reason_no_identifier_or_nobody_is_refused() {
        let bench = Bench::new().await;
        let (find, erase) = ("/api/v1/contacts:find", "/api/v1/contacts:erase");
        for (path, body, status) in [
            (erase, json!({ "contact": NOBODY, "reason": "request" }), 404_u16),
            (erase, json!({ "contact": NOBODY, "reason": "طلب من هدى العلي" }), 422),
            (erase, json!({ "contact": NOBODY }), 422),
            (erase, json!({ "contact": "هدى", "reason": "request" }), 422),
            (find, json!({ "identifier": "هدى" }), 422),
            (find, json!({ "identifier": "tel:+1" }), 404),
        ] {
            let got = bench.post(path, body.to_string()).await;
            assert_eq!(got.status.as_u16(), status, "{path} {body}: {}", got.text);
        }
        let unknown = bench
            .ask(Method::GET, &format!("/api/v1/contacts:export?contact={NOBODY}"), "")
            .await;
        assert_eq!(unknown.status, 404);
    }
}
