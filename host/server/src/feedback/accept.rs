//! One piece of feedback in.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use mihwar_hub::{Config, IdempotencyState, IdempotencyTicket, Intake};
use mihwar_model::{Draft, FieldProblem, InstanceName};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::input::{read_feedback, wire_problems};
use super::wire::FeedbackInput;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::own::refuse_own;
use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::{Allowed, Problem, Sort, Write};
use crate::json::Fields;
use crate::surface::Surface;

/// Instance under which feedback of the API is kept, unless the caller names another.
const USUAL_INSTANCE: &str = "api";
/// Longest idempotency key.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("idempotent-replay");

/// Under which instance feedback is kept.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct InstanceQuery {
    /// Name of the source; external ids are told apart by it. Left out: `api`. Not the name of a plugin instance.
    #[param(example = "branch-kiosk")]
    #[expect(
        dead_code,
        reason = "describes the query for the API's document; it is read field by field"
    )]
    instance: Option<String>,
}

/// What became of one piece of feedback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The hub's id of it.
    pub id: String,
    /// Its revision.
    pub revision: u32,
    /// `new`, `revised` or `duplicate`.
    #[schema(example = "new")]
    pub result: String,
}

impl Accepted {
    /// What the caller learns about an intake, and the status that goes with it; `Err` holds the bad fields, or says that it
    /// is the hub that is at fault.
    pub(crate) fn from_intake(draft: &Draft, intake: Intake) -> Result<(StatusCode, Self), Problem> {
        match (Self::of(&intake), intake) {
            (Some(accepted), _) => Ok(accepted),
            (None, Intake::Refused { problems }) => Err(Problem::fields(wire_problems(draft, problems))),
            // Not the caller's fault, so that no client drops it as a bad one.
            (None, Intake::Damaged { problem }) => Err(Problem::new(Sort::Damaged, problem.to_string())),
            (None, _) => Err(Problem::internal("an intake that was not refused has no answer")),
        }
    }

    fn of(intake: &Intake) -> Option<(StatusCode, Self)> {
        let (status, result, feedback, revision) = match intake {
            Intake::New { feedback, revision } => (StatusCode::CREATED, "new", feedback, revision),
            Intake::Revised { feedback, revision } => (StatusCode::OK, "revised", feedback, revision),
            Intake::Duplicate { feedback, revision } => (StatusCode::OK, "duplicate", feedback, revision),
            Intake::Refused { .. } | Intake::Damaged { .. } => return None,
        };
        Some((
            status,
            Self {
                id: feedback.to_string(),
                revision: *revision,
                result: result.to_owned(),
            },
        ))
    }
}

/// Hand in one piece of feedback
///
/// Answered when it is on disk. The body may have 256 KiB unless the configuration says otherwise (`server.body-limit`); what
/// is larger goes through `/api/v1/feedback:batch`, where a line may have 1 MiB. With an `external_id` a repeat is answered with the record that is already there (200);
/// with an `Idempotency-Key` a repeat of the same request is answered with the same answer for 24 hours.
#[utoipa::path(
    post, path = "/api/v1/feedback", tag = "feedback",
    params(InstanceQuery, ("Idempotency-Key" = Option<String>, Header, description = "Any text of up to 255 bytes, new for each request.")),
    request_body = FeedbackInput,
    responses(
        (status = CREATED, body = Accepted, description = "It is kept."),
        (status = OK, body = Accepted, description = "It was known already, or is a new revision of one that was."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The body is no JSON."),
        (status = PAYLOAD_TOO_LARGE, body = ProblemView, content_type = "application/problem+json", description = "The body is larger than the hub takes; the detail names the limit."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "Fields are wrong; each is listed. Or one of this hub's own departments sent it."),
        (status = TOO_MANY_REQUESTS, body = ProblemView, content_type = "application/problem+json", description = "This caller has as many requests in work as one may. Nothing was kept; come back after Retry-After."),
        (status = INTERNAL_SERVER_ERROR, body = ProblemView, content_type = "application/problem+json", description = "The hub is at fault; the type says how: `damaged`, what it has of this item or its author cannot be read, and nothing was kept; `outcome-unknown`; `internal`."),
        (status = SERVICE_UNAVAILABLE, body = ProblemView, content_type = "application/problem+json", description = "The hub is busy. Nothing was kept; come back after Retry-After."),
        (status = GATEWAY_TIMEOUT, body = ProblemView, content_type = "application/problem+json", description = "It took too long, and is not known whether it was kept: with an `external_id` or an `Idempotency-Key`, send the same again."),
        (status = INSUFFICIENT_STORAGE, body = ProblemView, content_type = "application/problem+json", description = "The disk of the hub is nearly full. Nothing was kept."),
    ),
    security(("token" = ["feedback:write"])),
)]
pub(crate) async fn create_feedback(
    Allowed(caller, _): Allowed<Write>,
    State(surface): State<Surface>,
    uri: Uri,
    headers: HeaderMap,
    JsonBody { value, bytes }: JsonBody,
) -> Result<Response, Problem> {
    refuse_own(&surface.hub, &headers, uri.path())?;
    let named = read_query(&uri, |fields: &mut Fields<'_>| fields.parsed("instance"))?;
    let instance = own_instance(&surface.config(), named)?;
    let ticket = match idempotency(&surface, &caller, &headers, &uri, &bytes).await? {
        Idempotency::Answered(response) => return Ok(response),
        Idempotency::Open(ticket) => ticket,
    };
    let draft = read_feedback(value).map_err(Problem::fields)?;
    let (hub, actor) = (&surface.hub, &caller.actor);
    let intake = match ticket {
        Some(ticket) => {
            hub.accept_once(actor, &instance, draft.clone(), &ticket, kept_answer)
                .await?
        }
        None => {
            let mut intakes = hub.accept(actor, &instance, vec![draft.clone()]).await?;
            intakes
                .pop()
                .ok_or_else(|| Problem::internal("an intake of one record had no result"))?
        }
    };
    let (status, accepted) = Accepted::from_intake(&draft, intake)?;
    Ok((status, Json(accepted)).into_response())
}

/// The answer that is kept under an idempotency key. A refusal is not: it may be corrected and sent again.
fn kept_answer(intake: &Intake) -> Option<(u16, Vec<u8>)> {
    let (status, accepted) = Accepted::of(intake)?;
    Some((status.as_u16(), serde_json::to_vec(&accepted).ok()?))
}

/// The instance under which a caller's feedback is kept: the one that they name, or the usual one.
///
/// # Errors
/// It is the name of a plugin instance. What stands under such a name came through that plugin, and nobody else may say so.
pub(crate) fn own_instance(config: &Config, named: Option<InstanceName>) -> Result<InstanceName, Problem> {
    let instance = match named {
        Some(instance) => instance,
        None => InstanceName::new(USUAL_INSTANCE).map_err(Problem::internal)?,
    };
    if config.instances.iter().any(|configured| configured.name == instance) {
        let message = format!(
            "{instance} is a plugin instance, and only its plugin brings feedback under that name; choose another"
        );
        return Err(Problem::fields(FieldProblem::new("instance", message)));
    }
    Ok(instance)
}

enum Idempotency {
    /// This request was answered before.
    Answered(Response),
    /// It is new, under a key or without one.
    Open(Option<IdempotencyTicket>),
}

async fn idempotency(
    surface: &Surface,
    caller: &Caller,
    headers: &HeaderMap,
    uri: &Uri,
    body: &[u8],
) -> Result<Idempotency, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(Idempotency::Open(None));
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()));
    let Some(key) = key else {
        let detail = format!("Idempotency-Key should be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
        return Err(Problem::new(Sort::InvalidRequest, detail));
    };
    let state = surface
        .hub
        .idempotency_check(caller.token, key, fingerprint(uri, body))
        .await?;
    match state {
        IdempotencyState::Fresh(ticket) => Ok(Idempotency::Open(Some(ticket))),
        IdempotencyState::Replay { status, body } => Ok(Idempotency::Answered(replay(status, body))),
        IdempotencyState::Mismatch => {
            let detail = "this idempotency key came with another request in the last 24 hours";
            Err(Problem::new(Sort::IdempotencyMismatch, detail))
        }
        IdempotencyState::Unreadable => {
            let detail = "what was answered under this idempotency key is damaged; look whether the request was kept, and if not, \
                          send it under another key";
            Err(Problem::new(Sort::Damaged, detail))
        }
    }
}

fn fingerprint(uri: &Uri, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(uri.path_and_query().map_or("", |address| address.as_str()));
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

fn replay(status: u16, body: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = [
        (http::header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (IDEMPOTENT_REPLAY, HeaderValue::from_static("true")),
    ];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::{Accepted, kept_answer, own_instance};
    use mihwar_hub::{Config, Intake};
    use mihwar_model::{Channel, Draft, FieldProblem, InstanceName, Tag};

    #[test]
    fn what_damage_in_the_hub_keeps_out_is_no_fault_of_the_caller() {
        let draft = Draft::new(Channel::new(Tag::new("api").unwrap()));
        let damaged = Intake::Damaged {
            problem: FieldProblem::new("author", "مفتاح تالف"),
        };
        assert!(kept_answer(&damaged).is_none(), "the same key may be tried again");
        let told = Accepted::from_intake(&draft, damaged).unwrap_err().into_view();
        assert_eq!((told.status, told.kind.as_str()), (500, "/problems/damaged"));
        assert!(told.detail.contains("مفتاح تالف") && told.errors.is_empty(), "{told:?}");
        let refused = Intake::Refused {
            problems: vec![FieldProblem::new("subject", "NUL")],
        };
        let told = Accepted::from_intake(&draft, refused).unwrap_err().into_view();
        assert_eq!((told.status, told.errors.len()), (422, 1));
    }

    #[test]
    fn nobody_speaks_in_the_name_of_a_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mihwar.toml");
        let text = "[[plugin]]\nid = \"p\"\n[[instance]]\nname = \"branch\"\nplugin = \"p\"\n";
        std::fs::write(&path, text).unwrap();
        let mut config = Config::load(&path, &[], std::iter::empty()).unwrap();
        let kept_under = |config: &Config, named: Option<&str>| {
            own_instance(config, named.map(|name| InstanceName::new(name).unwrap())).map(|name| name.to_string())
        };
        assert_eq!(kept_under(&config, None).unwrap(), "api");
        assert_eq!(kept_under(&config, Some("branch-kiosk")).unwrap(), "branch-kiosk");
        let refused = kept_under(&config, Some("branch")).unwrap_err().into_view();
        assert_eq!((refused.status, refused.errors[0].field.as_str()), (422, "instance"));
        // The usual name too may be taken by a plugin.
        config.instances[0].name = InstanceName::new("api").unwrap();
        assert!(kept_under(&config, None).is_err());
    }
}
