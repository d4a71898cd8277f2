//! What the hub holds about a person, and its erasure.

#[cfg(test)]
mod tests;
mod views;

use std::str::FromStr;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Uri, header};
use mihwar_hub::{EraseRefusal, QueryError};
use mihwar_model::{AttachmentId, ContactId, Identifier, Tag};

use crate::feedback::view::actor;
use crate::http::body::JsonBody;
use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Admin, Allowed, Problem, Sort};
use crate::json::read_object;
use crate::surface::Surface;

pub use views::{
    ContactFound, ContactLine, ContactQuery, ContactQuestion, ContactRecordView, ContactView, EraseInput, ErasureView,
    ReaderView, RevisionView,
};

/// When to try again while something of a contact is on its way.
const ON_ITS_WAY_RETRY_AFTER: Duration = Duration::from_secs(1);

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
    Allowed(caller, _): Allowed<Admin>,
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
    tracing::info!(%contact, by = %actor(&caller.actor), "all that is held about a contact is handed out");
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
    // It is erased, whether that can be told or not.
    let copies = surface.hub.copies_beside().unwrap_or_else(|error| {
        tracing::warn!("whether an earlier state of the store lies in the data folder is not known: {error}");
        Vec::new()
    });
    Ok(Json(ErasureView::new(&report, &copies)))
}
