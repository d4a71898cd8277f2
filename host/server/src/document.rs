//! The API's description, made from the code.

use http::StatusCode;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::http::problem::PROBLEM_JSON;

/// The frame of the description; the routes add their operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mihwar",
        description = "The API of the feedback hub: hand feedback in, read it, follow what became of it, run the hub.\n\n\
            Send a token of `mihwar token create` as bearer. Refusals are problem details (RFC 9457) whose `type` leads to a page \
            that explains it. Lists are read page by page with opaque cursors.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    modifiers(&Tokens),
    tags(
        (name = "feedback", description = "What customers say."),
        (name = "contacts", description = "What is held about a person, and its erasure."),
        (name = "routing", description = "Why it went there."),
        (name = "deliveries", description = "Where it went."),
        (name = "inbound", description = "What other systems send."),
        (name = "plugins", description = "What runs in the hub."),
        (name = "imports", description = "Files on the hub's machine."),
        (name = "ledger", description = "The proof of it all."),
        (name = "figures", description = "What it comes to, with a receipt."),
        (name = "store", description = "Looking after the hub's own file."),
        (name = "tokens", description = "Who may do what."),
        (name = "hub", description = "The hub itself."),
        (name = "health", description = "For monitors."),
    ),
)]
pub(crate) struct Document;

/// What is answered at the door when there is no room, whatever is asked for.
const AT_THE_DOOR: [(StatusCode, &str); 2] = [
    (
        StatusCode::TOO_MANY_REQUESTS,
        "This caller has as many requests of this kind in work as one may. Nothing was done; come back after Retry-After.",
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "More is asked of the hub than it can do at once. Nothing was done; come back after Retry-After.",
    ),
];

/// Names these answers at every operation of a part that has no words of its own for them.
pub(crate) fn name_answers_at_the_door(part: &mut utoipa::openapi::OpenApi) {
    for operation in part.paths.paths.values_mut().flat_map(operations) {
        for (status, description) in AT_THE_DOOR {
            let responses = &mut operation.responses.responses;
            responses.entry(status.as_str().to_owned()).or_insert_with(|| {
                let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                ResponseBuilder::new()
                    .description(description)
                    .content(PROBLEM_JSON, problem)
                    .into()
            });
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        ..
    } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("mhw_<id>_<secret>".into());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}
