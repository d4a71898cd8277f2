//! Where other systems call: the request is stored raw and answered when it is on disk.

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, StatusCode, Uri, header};
use mihwar_hub::{InboundError, InboundRequest};
use mihwar_model::InstanceName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::body::whole_body;
use crate::http::own::refuse_own;
use crate::http::problem::ProblemView;
use crate::http::{Problem, Sort};
use crate::surface::Surface;

/// Largest body of a request from another system, whatever its plugin would take.
const BODY_BYTES_MAX: usize = 4 << 20;

/// A request that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboundAccepted {
    /// The hub's id of the request.
    pub inbound: String,
}

/// Take in a request of another system
///
/// The endpoint is one that the channel plugin declares; its signature, if it declares one, is checked before anything is kept.
/// Answered when the request is on disk; what becomes of it shows in the feedback list or among the inbound dead letters.
/// Other methods than POST are taken where the plugin declares them.
#[utoipa::path(
    post, path = "/hooks/{instance}/{endpoint}", tag = "inbound",
    params(
        ("instance" = String, Path, description = "The channel instance."),
        ("endpoint" = String, Path, description = "The endpoint as the plugin names it."),
    ),
    request_body(content = String, content_type = "*/*", description = "Whatever the other system sends, as large as the plugin declares and at most 4 MiB."),
    responses(
        (status = ACCEPTED, body = InboundAccepted, description = "It is kept."),
        (status = UNAUTHORIZED, body = ProblemView, content_type = "application/problem+json", description = "The signature does not fit."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such instance or endpoint."),
        (status = METHOD_NOT_ALLOWED, body = ProblemView, content_type = "application/problem+json", description = "The endpoint takes other methods."),
        (status = PAYLOAD_TOO_LARGE, body = ProblemView, content_type = "application/problem+json", description = "The body is too large."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "One of this hub's own departments sent it."),
        (status = TOO_MANY_REQUESTS, body = ProblemView, content_type = "application/problem+json", description = "This address has as many requests in work as one may. Nothing was kept; come back after Retry-After."),
        (status = SERVICE_UNAVAILABLE, body = ProblemView, content_type = "application/problem+json", description = "The hub is busy. Nothing was kept; come back after Retry-After."),
        (status = GATEWAY_TIMEOUT, body = ProblemView, content_type = "application/problem+json", description = "It took too long, and is not known whether it was kept: send the same request again."),
        (status = INSUFFICIENT_STORAGE, body = ProblemView, content_type = "application/problem+json", description = "The disk of the hub is nearly full. Nothing was kept."),
    ),
    security(()),
)]
pub(crate) async fn receive_hook(
    State(surface): State<Surface>,
    Path((instance, endpoint)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("such endpoint");
    let instance = InstanceName::new(instance).map_err(|_| unknown())?;
    // Nothing is read from those who have come to the wrong address.
    let declared = surface
        .hub
        .inbound_endpoint(&instance, &endpoint, request.method().as_str())
        .map_err(refused)?;
    refuse_own(&surface.hub, request.headers(), request.uri().path())?;
    let limit = usize::try_from(declared.max_body)
        .unwrap_or(BODY_BYTES_MAX)
        .min(BODY_BYTES_MAX);
    let (parts, body) = request.into_parts();
    let inbound = inbound(instance, endpoint, &parts);
    let body = whole_body(&parts, body, limit).await?;
    let id = surface
        .hub
        .accept_inbound(InboundRequest { body, ..inbound })
        .await
        .map_err(refused)?;
    Ok((
        StatusCode::ACCEPTED,
        Json(InboundAccepted {
            inbound: id.to_string(),
        }),
    )
        .into_response())
}

fn inbound(instance: InstanceName, endpoint: String, parts: &Parts) -> InboundRequest {
    // What only concerns the way from the sender to here is not part of the message.
    const HOP_BY_HOP: [HeaderName; 5] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
    ];
    let headers = parts.headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name));
    InboundRequest {
        instance,
        endpoint,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query_pairs(&parts.uri),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
        body: bytes::Bytes::new(),
    }
}

fn query_pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

fn refused(error: InboundError) -> Problem {
    match error {
        // Which of the two is missing is nobody's business outside.
        InboundError::UnknownInstance(_) | InboundError::UnknownEndpoint(_) => {
            Problem::not_found("such endpoint").with_private(error)
        }
        InboundError::MethodNotAllowed { allowed } => Problem::method_not_allowed(allowed.join(", ")),
        InboundError::BodyTooLarge { limit } => Problem::too_large(usize::try_from(limit).unwrap_or(usize::MAX)),
        InboundError::NotVerified { reason } => {
            Problem::new(Sort::NotVerified, "the request carries no signature that fits").with_private(reason)
        }
        InboundError::Fault(fault) => fault.into(),
    }
}
